# A prefork server: a table loaded once, workers that read requests from a pipe each and look things up.
# prefork.pl ENTRIES WORKERS REQUESTS LOOK_UPS. Prints "MASTER-PID" and waits for a line on standard input, serves,
# prints "DIGEST SECONDS…" and waits for another line before it ends.
use strict;
use warnings;
use Time::HiRes qw(time sleep);
$| = 1;
my ($entries, $workers, $requests, $look_ups) = @ARGV;
my %table = map { ("key $_" => { name => "value $_", cells => [$_, $_ + 1, "x$_"] }) } 1 .. $entries;
my @channels;
for my $number (1 .. $workers) {
  pipe(my $asked, my $ask) or die;
  pipe(my $answered, my $answer) or die;
  my $pid = fork();
  if (!$pid) {
    close $ask; close $_->[0] for @channels;
    while (sysread($asked, my $request, 10)) {
      my ($sum, $seed) = (0, int($request));
      for (1 .. $look_ups) {
        $seed = ($seed * 1103515245 + 12345) % 2147483648;
        my $entry = $table{"key " . ($seed % $entries + 1)};   # its count goes up and down
        $sum += length($entry->{name}) + $entry->{cells}[1];
      }
      syswrite($answer, sprintf("%020d", $sum));
    }
    exit 0;
  }
  close $asked; close $answer;
  push @channels, [$ask, $answered];
}
print "$$\n";
<STDIN>;
my ($sum, @times) = (0);
for my $request (1 .. $requests) {
  for my $channel (@channels) { syswrite($channel->[0], sprintf("%010d", $request)) }
  my $began = time;
  for my $channel (@channels) { sysread($channel->[1], my $answer, 20); $sum += $answer; push @times, time - $began }
  sleep 0.02;
}
print join(" ", $sum, map { sprintf "%.6f", $_ } @times), "\n";
<STDIN>;
close $_->[0] for @channels;
wait for @channels;
