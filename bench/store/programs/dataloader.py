"""PyTorch's DataLoader over small dicts that were made before its workers were forked; an item takes 2 ms of work.

dataloader.py RECORDS WORKERS ITEMS"""
import hashlib
import os
import sys
import time

import torch.utils.data

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "suite"))
from watched import Watched

WORK = 2000  # some 2 ms of hashing, 2000 bytes at a time, for which the interpreter is not let go
BYTES = bytes(2000)


class Records(torch.utils.data.Dataset):
    def __init__(self, number):
        self.records = [{"id": i, "path": f"image {i}", "label": i % 1000} for i in range(number)]

    def __len__(self):
        return len(self.records)

    def __getitem__(self, number):
        began = time.perf_counter()
        record = self.records[number]
        work = hashlib.sha256()
        for _ in range(WORK):
            work.update(BYTES)
        total = work.digest()[0] + record["id"] + len(record["path"]) + record["label"]
        return total, time.perf_counter() - began


def main():
    records, workers, items = map(int, sys.argv[1:])
    torch.set_num_threads(1)
    data = Records(records)
    order = torch.randperm(records, generator=torch.Generator().manual_seed(7))[:items].tolist()
    loader = torch.utils.data.DataLoader(data, sampler=order, batch_size=16, num_workers=workers, collate_fn=list,
                                         persistent_workers=True)
    batches = iter(loader)  # forks the workers
    time.sleep(3)
    watched, results = Watched(os.getpid()), []
    for batch in batches:
        results += batch
    watched.finish([seconds for _, seconds in results], repr(sum(total for total, _ in results)))


main()
