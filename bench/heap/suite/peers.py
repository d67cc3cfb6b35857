"""The allocators that are compared: each is preloaded into processes of its own."""

import pathlib
import sysconfig
from dataclasses import dataclass

SAMEPAGE = "Samepage"
STOCK = "jemalloc"  # what ratios refer to


@dataclass(frozen=True)
class Peer:
    name: str
    library: pathlib.Path | None  # None: glibc's own malloc

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library)} if self.library else {}


_DEBIAN = {
    STOCK: ("libjemalloc.so.2", "libjemalloc2"),
    "tcmalloc": ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    "mimalloc": ("libmimalloc.so.2.0", "libmimalloc2.0"),
}


def available(build: pathlib.Path) -> tuple[list[Peer], list[str]]:
    """The peers that this machine has, glibc first and Samepage last; one line for each that is missing."""
    folder = pathlib.Path("/usr/lib") / sysconfig.get_config_var("MULTIARCH")
    candidates = [(name, folder / file, f"apt-get install {package}") for name, (file, package) in _DEBIAN.items()]
    candidates.append((SAMEPAGE, build / "lib/libsamepage-heap.so", "./dev build"))
    peers, missing = [Peer("glibc", None)], []
    for name, library, remedy in candidates:
        if library.exists():
            peers.append(Peer(name, library.resolve()))
        else:
            missing.append(f"{name} left out: {library} is missing ({remedy})")
    return peers, missing
