#pragma once

namespace samepage {

/// What a program of this folder does; defined once in each, called by main.
int run(int argc, char** argv);

}  // namespace samepage
