# Instruction sets of each architecture: name, then its flags. The only place with -m flags. Every file of src/kernels is compiled once
# for each; what runs is decided at run time (src/runtime/isa.cpp), so the library itself stays at the architecture's baseline.

set(SEPCONV_ISA_scalar "")
set(SEPCONV_ISA_neon "")
set(SEPCONV_ISA_avx2 -mavx2 -mfma -mf16c)
# GCC 12 prefers half-width vectors otherwise.
set(SEPCONV_ISA_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mprefer-vector-width=512)
# VDPBF16PS. The rest of its kernels are those of its base.
set(SEPCONV_ISA_avx512_bf16 ${SEPCONV_ISA_avx512} -mavx512bf16)
set(SEPCONV_BASE_avx512_bf16 avx512)
set(SEPCONV_FILES_avx512_bf16 set_pairs table)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(SEPCONV_ISAS scalar avx2 avx512)
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-mavx512bf16 SEPCONV_COMPILER_KNOWS_BF16)  # GCC 10, Clang 9
  if(SEPCONV_COMPILER_KNOWS_BF16)
    list(APPEND SEPCONV_ISAS avx512_bf16)
  endif()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(SEPCONV_ISAS scalar neon)
else()
  set(SEPCONV_ISAS scalar)
endif()

# Unrolled as they are, GCC 12 takes minutes to instrument a file of vector kernels: sanitizers see the scalar ones, which come from the
# same templates, unless SEPCONV_SANITIZE_KERNELS asks for all. Tests put guard pages around every buffer of all of them.
option(SEPCONV_SANITIZE_KERNELS "With SEPCONV_SANITIZE: build the vector kernels with sanitizers, too" OFF)

# Adds the kernels of every instruction set to `target`, and SEPCONV_HAVE_<NAME> to its definitions.
function(sepconv_add_kernels target)
  file(GLOB kernels CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/csrc/src/kernels/*.cpp)
  foreach(isa ${SEPCONV_ISAS})
    set(own ${kernels})
    if(SEPCONV_FILES_${isa})
      list(TRANSFORM SEPCONV_FILES_${isa} REPLACE "(.+)" "${CMAKE_CURRENT_SOURCE_DIR}/csrc/src/kernels/\\1.cpp" OUTPUT_VARIABLE own)
    endif()
    add_library(sepconv_${isa} OBJECT ${own})
    target_include_directories(sepconv_${isa} PRIVATE csrc/src csrc/include)
    target_compile_definitions(sepconv_${isa} PRIVATE SEPCONV_ISA=${isa}
      $<$<BOOL:${SEPCONV_BASE_${isa}}>:SEPCONV_BASE=${SEPCONV_BASE_${isa}}>)
    if(SEPCONV_SANITIZE AND (SEPCONV_SANITIZE_KERNELS OR isa STREQUAL scalar))
      set(how -O1 ${SEPCONV_SANITIZE_FLAGS})
    elseif(isa STREQUAL scalar)
      set(how -Os)  # whose multiply-adds are calls
    elseif(SEPCONV_SANITIZE)
      set(how -O1)  # which compiles faster, and is fast enough
    else()
      set(how -O2)
      if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
        list(APPEND how -fno-gcse -fno-align-jumps -fno-align-functions)  # for the size of unrolled code
      endif()
    endif()
    target_compile_options(sepconv_${isa} PRIVATE ${SEPCONV_CXX_FLAGS} ${how} -fno-exceptions -fno-asynchronous-unwind-tables ${SEPCONV_ISA_${isa}})
    set_target_properties(sepconv_${isa} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:sepconv_${isa}>)
    string(TOUPPER ${isa} upper)
    target_compile_definitions(${target} PRIVATE SEPCONV_HAVE_${upper}=1)
  endforeach()
endfunction()
