"""What a process has for itself alone, from /proc/PID/smaps.

private_memory.py PID: says `ready`, looks at one of its children every second, in turns, and when a line comes at all of
them; prints the largest that it has seen, in bytes."""
import itertools
import os
import select
import sys


def of_mappings(pid):
    """Bytes, of each mapping. A page of the store that nobody else has mapped yet is the store's, not private: of its mappings
    only copies of pages count. Reads line by line, so that a Python process that measures itself grows little by it."""
    in_store, here, anonymous = False, 0, 0
    with open(f"/proc/{pid}/smaps", "rb") as smaps:
        for line in smaps:
            word = line.split(b":", 1)[0]
            if word in (b"Private_Clean", b"Private_Dirty"):
                here += int(line.split()[1])
            elif word == b"Anonymous":
                anonymous = int(line.split()[1])
            elif word == b"VmFlags":
                yield (min(here, anonymous) if in_store else here) * 1024
                here = anonymous = 0
            elif b" " in word:  # a mapping begins
                in_store = b"memfd:samepage-store" in line


def of(pid):
    """Bytes, of the whole process."""
    return sum(of_mappings(pid))


def children(pid):
    """PIDs of the processes that it forked and that live."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as text:
            return [int(child) for child in text.read().split()]
    except OSError:
        return []


def largest(pids):
    """The largest of those that live, in bytes; 0 without any."""
    found = [0]
    for pid in pids:
        try:
            found.append(of(pid))
        except OSError:
            pass  # it has ended
    return max(found)


def main():
    parent, peak = int(sys.argv[1]), 0
    others = lambda: [child for child in children(parent) if child != os.getpid()]
    print("ready", flush=True)
    for look in itertools.count():
        over = select.select([sys.stdin], [], [], 1)[0]
        pids = others()
        peak = max(peak, largest(pids if over or not pids else [pids[look % len(pids)]]))
        if over:
            break
    print(peak)


if __name__ == "__main__":
    main()
