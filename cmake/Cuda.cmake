# FP8CAL_CUDA = AUTO | ON | OFF: whether the cuda backend is compiled in; AUTO where a CUDA compiler
# and toolkit are found. Sets FP8CAL_WITH_CUDA.
set(FP8CAL_CUDA AUTO CACHE STRING "Compile the cuda backend: AUTO, ON or OFF")
set_property(CACHE FP8CAL_CUDA PROPERTY STRINGS AUTO ON OFF)

set(FP8CAL_WITH_CUDA OFF)
if(FP8CAL_CUDA)
  include(CheckLanguage)
  check_language(CUDA)
  find_package(CUDAToolkit QUIET)
  if(CMAKE_CUDA_COMPILER AND CUDAToolkit_FOUND)
    set(FP8CAL_WITH_CUDA ON)
  elseif(NOT FP8CAL_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "FP8CAL_CUDA is ON, but there is no CUDA compiler or toolkit (found: "
                        "compiler '${CMAKE_CUDA_COMPILER}', toolkit '${CUDAToolkit_VERSION}')")
  endif()
endif()

if(FP8CAL_WITH_CUDA)
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 89 90)  # the first with FP8: Ada, Hopper
  endif()
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25.1 does not know that nvcc has C++20
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  endif()
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  message(STATUS "cuda backend: CUDA ${CUDAToolkit_VERSION}, sm_${CMAKE_CUDA_ARCHITECTURES}")
else()
  message(STATUS "cuda backend: not compiled in")
endif()
