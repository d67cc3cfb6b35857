# Fuzzing of what reads foreign bytes: clang's libFuzzer, some seconds of it in the tests.
find_program(FUZZ_CXX NAMES clang++)

# samepage_fuzz_test(PART NAME SOURCES FILE… [LIBRARIES …] [OPTIONS …]): NAME_fuzz.cpp feeds files of src/PART.
function(samepage_fuzz_test part name)
  if(NOT SAMEPAGE_TESTS OR NOT FUZZ_CXX)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 2 fuzz "" "" "SOURCES;LIBRARIES;OPTIONS")
  list(TRANSFORM fuzz_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/src/${part}/ OUTPUT_VARIABLE sources)
  set(fuzzer ${CMAKE_BINARY_DIR}/bin/${name}_fuzz)
  add_custom_command(OUTPUT ${fuzzer} VERBATIM
    COMMAND ${FUZZ_CXX} -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DFMT_HEADER_ONLY
      -I${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR}/${name}_fuzz.cpp ${sources} -o ${fuzzer} ${fuzz_LIBRARIES}
    DEPENDS ${name}_fuzz.cpp ${sources})
  add_custom_target(${name}_fuzz ALL DEPENDS ${fuzzer})
  add_test(NAME ${part}/fuzz_${name} COMMAND ${fuzzer} -max_total_time=5 ${fuzz_OPTIONS})
  set_tests_properties(${part}/fuzz_${name} PROPERTIES LABELS fuzz)
endfunction()
