# What `cmake --install` puts in place. A target that is not configured is not installed.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/samepage DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

if(TARGET samepage)
  install(TARGETS samepage RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET samepage_watchdog)
  # The unit names the program's place, which is known at installation alone (cmake --install --prefix).
  install(CODE "
    cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY \"\$ENV{PWD}\" NORMALIZE OUTPUT_VARIABLE prefix)
    cmake_path(APPEND prefix \"${CMAKE_INSTALL_BINDIR}\" OUTPUT_VARIABLE bin)
    cmake_path(APPEND prefix \"${CMAKE_INSTALL_DOCDIR}\" OUTPUT_VARIABLE doc)
    configure_file(\"${PROJECT_SOURCE_DIR}/packaging/systemd/samepage-watchdog.service.in\"
      \"${PROJECT_BINARY_DIR}/samepage-watchdog.service\" @ONLY)")
  install(FILES ${PROJECT_BINARY_DIR}/samepage-watchdog.service DESTINATION lib/systemd/system)
  install(FILES ${PROJECT_SOURCE_DIR}/docs/watchdog.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()
if(TARGET samepage_group_preload)
  install(TARGETS samepage_group_preload LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

# What others link to: Samepage::samepage (the API), Samepage::census (include/samepage/census.hpp),
# Samepage::farm (include/samepage/farm.hpp), Samepage::hep (hep.hpp) and Samepage::heap (the malloc).
foreach(target samepage_api:samepage samepage_census_api:census samepage_farm_api:farm samepage_hep_api:hep
        samepage_heap:heap)
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
foreach(library samepage samepage-farm samepage-hep)
  set(pkgconfig_name ${library})
  configure_file(${CMAKE_CURRENT_LIST_DIR}/samepage.pc.in ${PROJECT_BINARY_DIR}/${library}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${library}.pc DESTINATION ${pkgconfig_dir})
endforeach()
