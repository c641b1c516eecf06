// The process of a C++ peer. It speaks the protocol of bench/peers/worker.py: a line of JSON in, a line of JSON out.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cases.hpp"

namespace bench {

using steady = std::chrono::steady_clock;

inline double seconds_between(steady::time_point a, steady::time_point b) { return std::chrono::duration<double>(b - a).count(); }

// Times of single calls for `seconds`, as `sample` of worker.py.
inline std::vector<double> sample(const std::function<void()>& run, double seconds) {
  const steady::time_point start = steady::now();
  double took;
  steady::time_point after;
  do {
    const steady::time_point before = steady::now();
    run();
    after = steady::now();
    took = seconds_between(before, after);
  } while (seconds_between(start, after) < seconds / 10);
  const int batch = took < 20e-6 ? static_cast<int>(20e-6 / (took < 1e-9 ? 1e-9 : took)) + 1 : 1;
  std::vector<double> times;
  do {
    const steady::time_point before = steady::now();
    for (int i = 0; i < batch; ++i) run();
    after = steady::now();
    times.push_back(seconds_between(before, after) / batch);
  } while (seconds_between(start, after) < seconds);
  return times;
}

// Memory that starts at a multiple of 64 bytes.
class array {
 public:
  explicit array(std::size_t bytes)
      : memory_(static_cast<char*>(::operator new(bytes + 64, std::align_val_t(64)))), size_(bytes) {}
  char* get() const { return memory_.get(); }
  std::size_t size() const { return size_; }
  static array read(const std::string& folder, const char* name, std::size_t bytes) {
    array a(bytes);
    std::ifstream file(folder + "/" + name, std::ios::binary);
    if (!file.read(a.get(), static_cast<std::streamsize>(bytes))) throw std::runtime_error(std::string(name) + " can't be read");
    return a;
  }
  void write(const std::string& folder) const {
    std::ofstream(folder + "/result", std::ios::binary).write(get(), static_cast<std::streamsize>(size_));
  }

 private:
  struct release {
    void operator()(char* p) const { ::operator delete(p, std::align_val_t(64)); }
  };
  std::unique_ptr<char, release> memory_;
  std::size_t size_;
};

struct unsuitable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What a library does with one case. `run` is timed; `result` is in the layout of the case.
struct prepared {
  std::string setting;
  std::function<void()> run;
  std::function<const array&()> result;
};

struct library {
  std::string version;
  // Settings of which the fastest counts.
  std::function<std::vector<prepared>(const shape_case&, const std::string& folder)> prepare;
  // Other questions; returns members of the answer, or "".
  std::function<std::string(const json&)> other;
};

inline double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

inline std::size_t fastest(const std::vector<prepared>& settings) {
  std::vector<std::vector<double>> times(settings.size());
  for (int round = 0; settings.size() > 1 && round < 5; ++round)
    for (std::size_t i = 0; i < settings.size(); ++i)
      for (double t : sample(settings[i].run, 0.02)) times[i].push_back(t);
  std::size_t best = 0;
  for (std::size_t i = 1; i < settings.size(); ++i)
    if (median(times[i]) < median(times[best])) best = i;
  return best;
}

inline std::string shape_of(const shape_case& c) {
  if (c.train) return "[" + std::to_string(c.step_count()) + "]";
  const std::string size = std::to_string(c.output_size(0)) + ", " + std::to_string(c.output_size(1));
  const std::string n = std::to_string(c.n), f = std::to_string(c.outputs());
  return c.channels_first() ? "[" + n + ", " + f + ", " + size + "]" : "[" + n + ", " + size + ", " + f + "]";
}

inline std::string quoted(const std::string& text) {
  std::string s = "\"";
  for (char c : text) s += c == '"' || c == '\\' || c < ' ' ? ' ' : c;
  return s + "\"";
}

inline int serve(const library& lib) {
  std::FILE* answers = fdopen(dup(1), "w");
  dup2(2, 1);
  const auto answer = [&](const std::string& members) {
    std::fprintf(answers, "{%s}\n", members.c_str());
    std::fflush(answers);
  };
  answer("\"version\": " + quoted(lib.version));
  std::vector<prepared> settings;
  std::size_t chosen = 0;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      const json question = parse_json(line);
      const std::string& ask = question.at("ask").text;
      if (ask == "prepare") {
        settings.clear();
        const shape_case c = parse_case(question.at("case"), {});
        const std::string& folder = question.at("folder").text;
        settings = lib.prepare(c, folder);
        chosen = fastest(settings);
        settings[chosen].run();
        settings[chosen].result().write(folder);
        answer("\"setting\": " + quoted(settings[chosen].setting) + ", \"shape\": " + shape_of(c));
      } else if (ask == "slice") {
        std::string list;
        char number[32];
        for (double t : sample(settings.at(chosen).run, question.at("seconds").number)) {
          std::snprintf(number, sizeof(number), "%s%.9g", list.empty() ? "" : ", ", t);
          list += number;
        }
        answer("\"times\": [" + list + "]");
      } else {
        answer(lib.other(question));
      }
    } catch (const unsuitable& e) {
      answer("\"unsuitable\": " + quoted(e.what()));
    } catch (const std::exception& e) {
      answer("\"failed\": " + quoted(e.what()));
    }
  }
  return 0;
}

}  // namespace bench
