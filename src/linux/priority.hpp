#pragma once

namespace samepage {

/// The calling thread, and threads that it starts from now on, run when others do not need the processor
/// (nice 10).
void give_way();

}  // namespace samepage
