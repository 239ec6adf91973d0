# Included by llama.cpp's own project(): leaves out the library of its command line tools, which
# llama-cpp-python asks for, never calls, and which takes longer to compile than all that it does.
set(LLAMA_BUILD_COMMON OFF)
