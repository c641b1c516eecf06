// C++17 over the C interface of sepconv.h: owners, exceptions, nothing else. Everything is inline; only the C functions are linked.
#ifndef SEPCONV_SEPCONV_HPP
#define SEPCONV_SEPCONV_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#include "sepconv/sepconv.h"

namespace sepconv {

// An argument is not allowed, or this machine lacks the instruction set. The message says which, what is allowed and what came.
struct invalid_argument : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

inline void check(sepconv_status status) {
  switch (status) {
    case SEPCONV_OK: return;
    case SEPCONV_OUT_OF_MEMORY: throw std::bad_alloc();
    case SEPCONV_INTERNAL_ERROR: throw std::runtime_error(sepconv_last_error());
    default: throw invalid_argument(sepconv_last_error());
  }
}

// A spec or weights with `size` set and all else at its default.
inline sepconv_spec make_spec() {
  sepconv_spec spec = {};
  spec.size = sizeof(spec);
  return spec;
}

inline sepconv_weights make_weights() {
  sepconv_weights weights = {};
  weights.size = sizeof(weights);
  return weights;
}

class pack {
 public:
  pack(const sepconv_plan* plan, const sepconv_weights& weights) {
    sepconv_pack* p = nullptr;
    check(sepconv_pack_create(plan, &weights, &p));
    handle_.reset(p);
  }
  const sepconv_pack* get() const { return handle_.get(); }

 private:
  struct destroy {
    void operator()(sepconv_pack* p) const { sepconv_pack_destroy(p); }
  };
  std::unique_ptr<sepconv_pack, destroy> handle_;
};

class plan {
 public:
  explicit plan(const sepconv_spec& spec) {
    sepconv_plan* p = nullptr;
    check(sepconv_plan_create(&spec, &p));
    handle_.reset(p);
  }
  const sepconv_plan* get() const { return handle_.get(); }
  std::int64_t pack_key() const { return sepconv_plan_pack_key(get()); }
  std::size_t workspace_size() const { return sepconv_plan_workspace_size(get()); }
  sepconv_plan_info info() const {
    sepconv_plan_info info = {};
    info.size = sizeof(info);
    check(sepconv_plan_get_info(get(), &info));
    return info;
  }
  sepconv::pack make_pack(const sepconv_weights& weights) const { return {get(), weights}; }
  // `workspace` has workspace_size() bytes, aligned to 64.
  void run(const sepconv::pack& pack, const void* input, void* output, void* workspace) const {
    check(sepconv_run(get(), pack.get(), input, output, workspace));
  }

 private:
  struct destroy {
    void operator()(sepconv_plan* p) const { sepconv_plan_destroy(p); }
  };
  std::unique_ptr<sepconv_plan, destroy> handle_;
};

inline sepconv_gradients make_gradients() {
  sepconv_gradients gradients = {};
  gradients.size = sizeof(gradients);
  return gradients;
}

// The gradients of a convolution; `wanted` is a sum of sepconv_gradient.
class vjp {
 public:
  vjp(const sepconv_spec& spec, std::int32_t wanted, const std::int64_t* gradient_strides = nullptr) {
    sepconv_vjp* p = nullptr;
    check(sepconv_vjp_create(&spec, wanted, gradient_strides, &p));
    handle_.reset(p);
  }
  const sepconv_vjp* get() const { return handle_.get(); }
  std::size_t workspace_size() const { return sepconv_vjp_workspace_size(get()); }
  // `workspace` has workspace_size() bytes, aligned to 64.
  void run(const sepconv_weights& weights, const void* input, const void* kept, const void* output_gradient,
           const sepconv_gradients& gradients, void* workspace) const {
    check(sepconv_vjp_run(get(), &weights, input, kept, output_gradient, &gradients, workspace));
  }

 private:
  struct destroy {
    void operator()(sepconv_vjp* p) const { sepconv_vjp_destroy(p); }
  };
  std::unique_ptr<sepconv_vjp, destroy> handle_;
};

// Memory of the library's pool.
class buffer {
 public:
  explicit buffer(std::size_t size) : handle_(sepconv_alloc(size)), size_(size) {
    if (!handle_) throw std::bad_alloc();
  }
  void* get() const { return handle_.get(); }
  void* release() { return handle_.release(); }
  std::size_t size() const { return size_; }

 private:
  struct destroy {
    void operator()(void* p) const { sepconv_free(p); }
  };
  std::unique_ptr<void, destroy> handle_;
  std::size_t size_;
};

inline sepconv_system_info system_info() {
  sepconv_system_info info = {};
  info.size = sizeof(info);
  check(sepconv_get_system_info(&info));
  return info;
}

}  // namespace sepconv

#endif
