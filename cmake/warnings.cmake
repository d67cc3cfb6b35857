# Warnings are errors for us, never for those who build an installed header.
add_library(samepage_warnings INTERFACE)
target_compile_options(samepage_warnings INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror)
