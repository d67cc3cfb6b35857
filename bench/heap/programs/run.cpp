#include "run.hpp"

int main(int argc, char** argv) {
  return samepage::run(argc, argv);
}
