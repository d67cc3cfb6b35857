"""Python programs: pools by fork, spawn and forkserver, forks beside threads, sqlite3."""
import pytest

from plain_and_heap import PYTHON, published, same_output, sealing

POOL = """
import concurrent.futures, hashlib, multiprocessing, sys, threading, time
TABLE = {i: [i, str(i)] for i in range(200_000)}

def work(number):
    temporary = [str(number + i) for i in range(3000)]
    return hashlib.md5("".join(temporary + [TABLE[number % 200_000][1]]).encode()).hexdigest()

def threads_too(number):
    results = {}
    threads = [threading.Thread(target=lambda i=i: results.update({i: work(number + i)})) for i in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return sorted(results.items())

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    # Told when no pool lives: it forks new workers at any time, and these write what lies in our buffer again.
    told = []
    with context.Pool(3, maxtasksperchild=20) as pool:
        told.append(hashlib.md5(repr(pool.map(work, range(400), chunksize=5)).encode()).hexdigest())
        told.append(pool.map(threads_too, range(20), chunksize=2)[-1])
        time.sleep(3)
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=context) as pool:
        told.append(hashlib.md5(repr(list(pool.map(work, range(200)))).encode()).hexdigest())
    with context.Manager() as manager:
        shared = manager.dict()
        shared["big"] = [work(i) for i in range(50)]
        told.append(len(shared["big"]))
    lock, value = context.Lock(), context.Value("i", 3)
    told.append((value.value, lock.acquire(), lock.release()))
    for line in told:
        print(line)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pool(tmp_path, heap, method):
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    same_output([PYTHON, script, method], heap, seconds=180, env=sealing(tmp_path))
    assert published(tmp_path) > 20 << 20 or method != "fork"


THREADS_AND_FORKS = """
import os, threading
stop = threading.Event()

def churn():
    while not stop.is_set():
        [bytearray(i) for i in range(0, 200_000, 9001)]

threads = [threading.Thread(target=churn) for _ in range(4)]
[thread.start() for thread in threads]
for _ in range(200):
    pid = os.fork()
    if pid == 0:
        data = {i: str(i) for i in range(5000)}
        os._exit(0 if len(data) == 5000 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
stop.set()
[thread.join() for thread in threads]
print("done")
"""


def test_forks_beside_threads(heap):
    assert same_output([PYTHON, "-c", THREADS_AND_FORKS], heap) == "done\n"


SQLITE = """
import hashlib, os, sqlite3, threading
database = sqlite3.connect("file:shared?mode=memory&cache=shared", uri=True, check_same_thread=False)
database.create_function("digest", 1, lambda text: hashlib.md5(text.encode()).hexdigest())
database.create_collation("backwards", lambda a, b: (a < b) - (a > b))

class Longest:
    def __init__(self): self.found = ""
    def step(self, text): self.found = max(self.found, text, key=len)
    def finalize(self): return self.found

database.create_aggregate("longest", 1, Longest)
database.execute("create table t (a integer primary key, b text, c blob)")
rows = ((i, str(i) * (i % 30), bytes(i % 500)) for i in range(50_000))
database.executemany("insert into t values (?, ?, ?)", rows)
database.commit()
counts = []
lock = threading.Lock()

def read(remainder):
    mine = sqlite3.connect("file:shared?mode=memory&cache=shared", uri=True)
    found = mine.execute("select sum(length(c)) from t where a % 4 = ?", (remainder,)).fetchone()
    with lock: counts.append(found)
    mine.close()

threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sorted(counts), len(database.execute("select longest(b) from t").fetchone()[0]))
print(hashlib.md5("".join(row[0] for row in database.execute("select digest(b) from t order by b collate backwards"))
                  .encode()).hexdigest())
copy = sqlite3.connect(":memory:")
database.backup(copy, pages=50)
dumped = hashlib.md5("\\n".join(copy.iterdump()).encode()).hexdigest()
if os.fork() == 0:
    print(dumped, copy.execute("pragma integrity_check").fetchone(), flush=True)
    os._exit(0)
print(os.wait()[1], copy.execute("select count(*) from t").fetchone())
"""


def test_sqlite(heap):
    same_output([PYTHON, "-c", SQLITE], heap)
