#pragma once

namespace samepage {

/// Lets this process open as many descriptors as it may.
void allow_many_descriptors();

}  // namespace samepage
