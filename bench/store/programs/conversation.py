"""Runs a program that serves itself, in the conversation that prefork.pl describes, and watches its workers.

conversation.py PROGRAM [ARGUMENT…]"""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "suite"))
from watched import Watched

program = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
master = int(program.stdout.readline())
time.sleep(3)
watched = Watched(master)
program.stdin.write("\n")
program.stdin.flush()
digest, *times = program.stdout.readline().split()
watched.finish([float(seconds) for seconds in times], digest)
program.stdin.write("\n")
program.stdin.close()
sys.exit(program.wait())
