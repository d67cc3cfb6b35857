"""multiprocessing and concurrent.futures: pools by fork, spawn and forkserver."""
import pytest

from plain_and_heap import PYTHON, same_output

POOL = """
import concurrent.futures, hashlib, multiprocessing, sys, threading
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
    with context.Pool(3, maxtasksperchild=20) as pool:
        print(hashlib.md5(repr(pool.map(work, range(400), chunksize=5)).encode()).hexdigest())
        print(pool.map(threads_too, range(20))[-1])
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=context) as pool:
        print(hashlib.md5(repr(list(pool.map(work, range(200)))).encode()).hexdigest())
    with context.Manager() as manager:
        shared = manager.dict()
        shared["big"] = [work(i) for i in range(50)]
        print(len(shared["big"]))
    lock, value = context.Lock(), context.Value("i", 3)
    print(value.value, lock.acquire(), lock.release())
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pool(tmp_path, heap, method):
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    same_output([PYTHON, script, method], heap, seconds=180)


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
