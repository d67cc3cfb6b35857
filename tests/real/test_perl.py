"""perl: fork by hand, and the preforking server Net::Server::PreFork."""
import socket

import pytest

from plain_and_heap import need, run, same_output, sealed, sealing, server, wait_until

FORKS = r"""
use strict;
my %table = map { ("key $_" => [$_, "x" x ($_ % 50), {n => $_}]) } 1 .. 60000;
$| = 1;
for my $generation (1 .. 8) {
  pipe(my $in, my $out);
  my $pid = fork();
  if ($pid == 0) {
    my $sum = 0;
    for my $i (1 .. 20000) {
      my $temporary = join ",", @{$table{"key $i"}}[0, 1];
      $sum += length($temporary) + $table{"key $i"}[2]{n};
    }
    delete @table{map { "key $_" } 1 .. 1000};
    $table{"new $_"} = "y" x $_ for 1 .. 1000;
    print $out "$sum ", scalar(keys %table), "\n";
    close $out;
    exit 0;
  }
  close $out;
  print "$generation ", scalar(<$in>);
  waitpid($pid, 0);
  die "child gave $?" if $?;
}
"""

SERVER = r"""
use strict;
use base "Net::Server::PreFork";
my %table = map { ($_ => "value " . $_ ** 2) } 1 .. 100000;
sub process_request {
  my $number = <STDIN>;
  chomp $number;
  my @temporary = map { $table{$_} } $number .. $number + 500;
  print length(join "", @temporary), " $$\n";
}
__PACKAGE__->run(proto => "unix", port => $ARGV[0] . "|unix", min_servers => 3, max_servers => 5, max_requests => 50,
                 log_level => 0);
"""


def test_forks(heap):
    need("perl")
    same_output(["perl", "-e", FORKS], heap, env={"PERL_HASH_SEED": "0"})


def ask(path, number):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(f"{number}\n".encode())
        return connection.makefile().read().split()


def serve(folder, preload):
    folder.mkdir()
    path = folder / "socket"

    def answers():
        try:
            return len(ask(path, 1)) == 2
        except OSError:
            return False

    with server(["perl", "-e", SERVER, path], preload, answers, env=sealing(folder)):
        if preload:
            wait_until(lambda: len(sealed(folder)) >= 4)  # the parent and three workers
        replies = [ask(path, number) for number in range(1, 400)]
    assert len({pid for _, pid in replies}) >= 5
    return [length for length, _ in replies]


def test_prefork_server(tmp_path, heap):
    need("perl")
    if run(["perl", "-MNet::Server::PreFork", "-e", "1"]).returncode:
        pytest.skip("libnet-server-perl is not installed")
    assert serve(tmp_path / "heap", heap) == serve(tmp_path / "plain", None)
