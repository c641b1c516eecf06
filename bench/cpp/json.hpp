// As much JSON as the cases and the workers' protocol need: values, no escapes beyond \" \\ \/ in strings.
#pragma once

#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

struct json {
  double number = 0;  // of booleans, too: 0 or 1
  std::string text;
  std::vector<json> items;
  std::map<std::string, json> members;

  const json& at(const std::string& name) const {
    const auto found = members.find(name);
    if (found == members.end()) throw std::runtime_error("`" + name + "` is missing");
    return found->second;
  }
};

class json_parser {
 public:
  explicit json_parser(const std::string& text) : p_(text.c_str()) {}

  json value() {
    json v;
    switch (skip()) {
      case '{': fill(&v, '}'); break;
      case '[': fill(&v, ']'); break;
      case '"': v.text = string(); break;
      case 't': v.number = 1; p_ += 4; break;
      case 'f': p_ += 5; break;
      case 'n': p_ += 4; break;
      default: {
        char* end;
        v.number = std::strtod(p_, &end);
        if (end == p_) throw std::runtime_error("JSON: a value was expected at: " + std::string(p_).substr(0, 20));
        p_ = end;
      }
    }
    return v;
  }

 private:
  char skip() {
    while (*p_ == ' ' || *p_ == '\n' || *p_ == '\t' || *p_ == '\r' || *p_ == ',' || *p_ == ':') ++p_;
    if (!*p_) throw std::runtime_error("JSON: unexpected end");
    return *p_;
  }

  void fill(json* v, char close) {
    ++p_;
    while (skip() != close) {
      if (close == ']') {
        v->items.push_back(value());
      } else {
        const std::string name = string();
        v->members[name] = value();
      }
    }
    ++p_;
  }

  std::string string() {
    std::string s;
    for (++p_; *p_ != '"'; ++p_) {
      if (*p_ == '\\') ++p_;
      if (!*p_) throw std::runtime_error("JSON: unexpected end");
      s += *p_;
    }
    ++p_;
    return s;
  }

  const char* p_;
};

inline json parse_json(const std::string& text) { return json_parser(text).value(); }

}  // namespace bench
