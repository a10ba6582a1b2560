# Every library that fp8cal uses; docs/dependencies.md says what for.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(MPI REQUIRED COMPONENTS CXX)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(Boost REQUIRED COMPONENTS program_options)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)

# HDF5's CMake variables as one target, without the MPI wrappers that some distributions add.
add_library(fp8cal_hdf5 INTERFACE)
target_include_directories(fp8cal_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
target_link_libraries(fp8cal_hdf5 INTERFACE ${HDF5_C_LIBRARIES})
