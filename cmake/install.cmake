# What `cmake --install` puts in place. A target that is not configured is not installed.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/samepage DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

if(TARGET samepage)
  install(TARGETS samepage RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET samepage_group_preload)
  install(TARGETS samepage_group_preload LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

# What others link to: Samepage::samepage (the API) and Samepage::heap (the malloc).
foreach(target samepage_api:samepage samepage_heap:heap)
  string(REPLACE ":" ";" target ${target})
  list(POP_FRONT target name)
  if(TARGET ${name})
    set_target_properties(${name} PROPERTIES EXPORT_NAME ${target})
    install(TARGETS ${name} EXPORT SamepageTargets
      LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
      INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  endif()
endforeach()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Samepage)
if(TARGET samepage_api OR TARGET samepage_heap)
  install(EXPORT SamepageTargets NAMESPACE Samepage:: DESTINATION ${package_dir})
endif()
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/SamepageConfig.cmake.in
  ${PROJECT_BINARY_DIR}/SamepageConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/SamepageConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/SamepageConfig.cmake ${PROJECT_BINARY_DIR}/SamepageConfigVersion.cmake
  DESTINATION ${package_dir})

# The prefix is found from the file's own place, so that an installed tree may be moved.
cmake_path(SET pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}/${pkgconfig_dir}
  OUTPUT_VARIABLE pkgconfig_to_prefix)
configure_file(${CMAKE_CURRENT_LIST_DIR}/samepage.pc.in ${PROJECT_BINARY_DIR}/samepage.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/samepage.pc DESTINATION ${pkgconfig_dir})
