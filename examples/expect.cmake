# cmake -P expect.cmake EXPECTED PROGRAM ARGUMENT...: PROGRAM must succeed and print
# just what is in the file EXPECTED.
set(command)
foreach(i RANGE 4 ${CMAKE_ARGC})
  list(APPEND command ${CMAKE_ARGV${i}})
endforeach()
file(READ ${CMAKE_ARGV3} expected)
execute_process(COMMAND ${command} OUTPUT_VARIABLE printed RESULT_VARIABLE result)
if(NOT result EQUAL 0 OR NOT printed STREQUAL expected)
  message(FATAL_ERROR "result ${result}\n--- printed\n${printed}--- expected\n${expected}")
endif()
