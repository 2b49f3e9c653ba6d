# How every target of this project is compiled: warnings are errors, hardening is on.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # POSIX and GNU interfaces in cli/ and tests/
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Assertions stay on in every build: they cost little, and a proxy that stops is
# better than one that goes on wrong.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_RELEASE "-O2")

add_library(masque_compiler INTERFACE)
target_compile_options(masque_compiler INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wformat=2 -Wvla -Wswitch-enum -Wimplicit-fallthrough
  -fno-common -fstack-protector-strong -fstack-clash-protection)
target_link_options(masque_compiler INTERFACE -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(masque_compiler INTERFACE -Wlogical-op -Wduplicated-cond -Wduplicated-branches)
endif()

if(MASQUE_SANITIZE)
  list(JOIN MASQUE_SANITIZE "," sanitizers)
  target_compile_options(masque_compiler INTERFACE -fsanitize=${sanitizers} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(masque_compiler INTERFACE -fsanitize=${sanitizers})
else()
  # Needs optimisation; with it glibc checks sizes at run time.
  target_compile_options(masque_compiler INTERFACE $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE>
    $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=3>)
endif()

include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
