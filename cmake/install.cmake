# What `cmake --install` puts where: headers, both libraries, pkg-config file and
# CMake package. A static host needs the protocol libraries as well; where ours were
# built in the cache, their archives are installed beside our own so that the tree
# is complete by itself.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/masqueproxy DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(TARGETS masqueproxy_static masqueproxy_shared EXPORT masqueproxy
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

set(private_dir ${CMAKE_INSTALL_LIBDIR}/masqueproxy)
if(MASQUE_DEPS STREQUAL "cache")
  install(FILES ${MASQUE_PREFIX}/lib/libwolfssl.a ${MASQUE_PREFIX}/lib/libnghttp2.a ${MASQUE_PREFIX}/lib/libnghttp3.a
    ${MASQUE_PREFIX}/lib/libngtcp2.a DESTINATION ${private_dir})
  set(pc_private_libs "-L\${libdir}/masqueproxy -lnghttp2 -lnghttp3 -lngtcp2 -lwolfssl -lm -lpthread")
  set(pc_private_requires "")
else()
  set(pc_private_libs "")
  set(pc_private_requires "libnghttp2 libnghttp3 libngtcp2 wolfssl")
endif()
# Relative to itself, so that the tree may be installed, or moved, anywhere.
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/masqueproxy.pc.in ${PROJECT_BINARY_DIR}/masqueproxy.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/masqueproxy.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/masqueproxy)
install(EXPORT masqueproxy NAMESPACE masqueproxy:: FILE masqueproxy-targets.cmake DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/masqueproxy-config.cmake.in
  ${PROJECT_BINARY_DIR}/masqueproxy-config.cmake INSTALL_DESTINATION ${package_dir}
  PATH_VARS CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/masqueproxy-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/masqueproxy-config.cmake ${PROJECT_BINARY_DIR}/masqueproxy-config-version.cmake
  DESTINATION ${package_dir})
