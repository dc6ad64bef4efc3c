# weftctl, as a script runs it.
#
#     my $weftctl = Weft::Test::Weftctl->new($t);
#     my $done    = $weftctl->run('channels', '--json', Weft::Test::Weftctl::at($node));
#     $done->{status}, $done->{out}, $done->{err}
package Weft::Test::Weftctl;
use v5.30;
use warnings;

use POSIX ();

sub new { my ($class, $test) = @_; return bless { test => $test }, $class }

sub path { return "$Weft::Test::BUILD/weftctl" }

# The words that name a node's weftd.
sub at { my ($node) = @_; return ('--sidecar', $node->weftd->worker_address) }

# {status, out, err} of a run; the last of the words may be {in => TEXT}.
sub run {
    my ($self, @words) = @_;
    my $in = ref $words[-1] ? (pop @words)->{in} : '';
    my ($out_file, $err_file, $in_file) = map { $self->{test}->prefix . "/weftctl.$_" } qw(out err in);
    Weft::Test::spew($in_file, $in);
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN,  '<', $in_file;
        open STDOUT, '>', $out_file;
        open STDERR, '>', $err_file;
        exec path(), @words or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return { status => $? >> 8, out => Weft::Test::slurp($out_file), err => Weft::Test::slurp($err_file) };
}

1;
