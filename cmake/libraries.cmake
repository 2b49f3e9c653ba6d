# The libraries we build on, as targets masque::wolfssl, masque::nghttp2, masque::ngtcp2, masque::nghttp3 and, for
# the program, masque::uv, masque::cares, masque::cyaml.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

if(MASQUE_DEPS STREQUAL "cache")
  # The prefix that cmake/dependencies.sh filled; -DMASQUE_PREFIX= names another one.
  if(NOT MASQUE_PREFIX)
    execute_process(COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/dependencies.sh prefix
      OUTPUT_VARIABLE MASQUE_PREFIX OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  endif()
  if(NOT EXISTS ${MASQUE_PREFIX}/lib/libwolfssl.a)
    message(FATAL_ERROR "The protocol libraries are not built (${MASQUE_PREFIX}). "
      "Run `sh cmake/dependencies.sh build`, or configure with -DMASQUE_DEPS=system.")
  endif()
  add_library(masque_wolfssl STATIC IMPORTED)
  set_target_properties(masque_wolfssl PROPERTIES IMPORTED_LOCATION ${MASQUE_PREFIX}/lib/libwolfssl.a
    INTERFACE_INCLUDE_DIRECTORIES ${MASQUE_PREFIX}/include INTERFACE_LINK_LIBRARIES "m;Threads::Threads")
  add_library(masque_nghttp2 STATIC IMPORTED)
  set_target_properties(masque_nghttp2 PROPERTIES IMPORTED_LOCATION ${MASQUE_PREFIX}/lib/libnghttp2.a
    INTERFACE_INCLUDE_DIRECTORIES ${MASQUE_PREFIX}/include INTERFACE_COMPILE_DEFINITIONS NGHTTP2_STATICLIB)
  add_library(masque_ngtcp2 STATIC IMPORTED)
  set_target_properties(masque_ngtcp2 PROPERTIES IMPORTED_LOCATION ${MASQUE_PREFIX}/lib/libngtcp2.a
    INTERFACE_INCLUDE_DIRECTORIES ${MASQUE_PREFIX}/include INTERFACE_COMPILE_DEFINITIONS NGTCP2_STATICLIB)
  add_library(masque_nghttp3 STATIC IMPORTED)
  set_target_properties(masque_nghttp3 PROPERTIES IMPORTED_LOCATION ${MASQUE_PREFIX}/lib/libnghttp3.a
    INTERFACE_INCLUDE_DIRECTORIES ${MASQUE_PREFIX}/include INTERFACE_COMPILE_DEFINITIONS NGHTTP3_STATICLIB)
  add_library(masque::wolfssl ALIAS masque_wolfssl)
  add_library(masque::nghttp2 ALIAS masque_nghttp2)
  add_library(masque::ngtcp2 ALIAS masque_ngtcp2)
  add_library(masque::nghttp3 ALIAS masque_nghttp3)
else()
  # The floors close known holes; see cmake/versions.
  pkg_check_modules(WOLFSSL REQUIRED IMPORTED_TARGET GLOBAL wolfssl>=5.9.1)
  pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET GLOBAL libnghttp2>=1.68.1)
  pkg_check_modules(NGTCP2 REQUIRED IMPORTED_TARGET GLOBAL libngtcp2>=1.24)
  pkg_check_modules(NGHTTP3 REQUIRED IMPORTED_TARGET GLOBAL libnghttp3>=1.14)
  # A wolfSSL that is only there as an archive needs these as well.
  add_library(masque_wolfssl INTERFACE)
  target_link_libraries(masque_wolfssl INTERFACE PkgConfig::WOLFSSL m Threads::Threads)
  add_library(masque::wolfssl ALIAS masque_wolfssl)
  add_library(masque::nghttp2 ALIAS PkgConfig::NGHTTP2)
  add_library(masque::ngtcp2 ALIAS PkgConfig::NGTCP2)
  add_library(masque::nghttp3 ALIAS PkgConfig::NGHTTP3)
endif()

if(MASQUE_PROGRAM)
  pkg_check_modules(UV REQUIRED IMPORTED_TARGET GLOBAL libuv>=1.44)
  pkg_check_modules(CARES REQUIRED IMPORTED_TARGET GLOBAL libcares>=1.18)
  pkg_check_modules(CYAML REQUIRED IMPORTED_TARGET GLOBAL libcyaml>=1.3)
  add_library(masque::uv ALIAS PkgConfig::UV)
  add_library(masque::cares ALIAS PkgConfig::CARES)
  add_library(masque::cyaml ALIAS PkgConfig::CYAML)
endif()
