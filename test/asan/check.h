// What the tests of the plain C++ share: counted checks that do not stop at the first failure.
#pragma once

#include <cstdio>

inline int checks = 0;
inline int failures = 0;

#define CHECK(condition)                                                      \
  do {                                                                        \
    ++checks;                                                                 \
    if (!(condition)) {                                                       \
      ++failures;                                                             \
      fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                         \
  } while (false)
