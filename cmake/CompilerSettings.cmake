# One place for the settings that every target shares.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

option(FP8CAL_WERROR "Treat warnings as errors" OFF)
option(FP8CAL_SANITIZE "Build with address and undefined-behaviour sanitizers" OFF)

add_library(fp8cal_settings INTERFACE)
target_include_directories(fp8cal_settings INTERFACE "${CMAKE_SOURCE_DIR}")
# A contracted multiply-add rounds once instead of twice: results would depend on the instruction set.
set(host_options -Wall -Wextra -ffp-contract=off $<$<BOOL:${FP8CAL_WERROR}>:-Werror>)
if(FP8CAL_SANITIZE)
  list(APPEND host_options -fsanitize=address,undefined -fno-sanitize-recover=all
       -fno-omit-frame-pointer)
  target_link_options(fp8cal_settings INTERFACE -fsanitize=address,undefined)
endif()
# nvcc hands the same on to the host compiler; what nvcc itself writes is not pedantic C++.
target_compile_options(fp8cal_settings INTERFACE
  "$<$<COMPILE_LANGUAGE:C,CXX>:${host_options};-Wpedantic>"
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=$<JOIN:${host_options},$<COMMA>>>"
  "$<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${FP8CAL_WERROR}>>:-Werror=all-warnings>")

# fp8cal_library(NAME LIBRARY...): the target of one source folder, with what it may use.
function(fp8cal_library name)
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  add_library(fp8cal_${name} STATIC ${sources})
  target_link_libraries(fp8cal_${name} PUBLIC fp8cal_settings ${ARGN})
endfunction()
