# Reloads under load: thousands of connections, publishers that don't stop, and a reload each second. The load generator
# of bench/ (weft-load) counts what every subscriber got.
#
# WEFT_RELOADS: how many, 50 unless said; WEFT_RELOAD_CLIENTS: subscribers, 5,000 unless said; WEFT_RELOAD_INTERVAL: seconds
# between two, 1.2 unless said.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Weft::Test;

my $load = "$Weft::Test::BUILD/weft-load";
plan skip_all => 'a build without the load generator (weft-load)' if !-x $load;

my $reloads = $ENV{WEFT_RELOADS}        // 50;
my $clients = $ENV{WEFT_RELOAD_CLIENTS} // 5000;
my $seconds = $reloads * ($ENV{WEFT_RELOAD_INTERVAL} // 1.2);
# A new worker has all that the old one has, and each has some more.
chomp(my $files = qx{bash -c 'ulimit -Hn'});
$clients = 1000 if $files ne 'unlimited' && $files < 2 * $clients + 1000;
my $each = $clients / 5;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node(
    'a',
    workers     => 2,
    connections => 2 * $clients + 500,
    main        => 'worker_rlimit_nofile ' . (2 * $clients + 1000) . ";\n",
    rules       => "weft_channel bench:0 { publish on; history 1000 10m; presence counts; }\nweft_channel ** { publish on; }\n",
    location    => "weft_ticket key=$key; weft_rate off; weft_send_queue 8m;",
);
my ($nginx, $weftd) = ($node->nginx, $node->weftd);

# What processes hold that live on.
sub held { return map { $nginx->descriptors_of($_->pid) } $nginx->process, $weftd }

sub memory {
    return join ', ', map { slurp('/proc/' . $_->pid . '/smaps_rollup') =~ /^Private_Dirty:\s+(\d+ kB)/m } $nginx->process, $weftd;
}

sub run {
    my ($count, $length) = @_;
    my @command = (
        $load, 'fanout', '--channels', 5, '--subscribers-per-channel', $each, '--rate', 50,
        '--ticket-key', $key, '--connect', '127.0.0.1:' . $node->port, '--server', 'nginx=' . $nginx->process->pid,
        '--seconds', $length, '--warmup', 0.2, '--reloads', $count,
    );
    open my $out, '-|', @command or die "$load: $!\n";
    my $text = join '', <$out>;
    close $out or die "weft-load ended with status $?\n";
    return JSON::PP->new->decode($text);
}

check "$reloads reloads: nobody is cut off, and nothing lost, repeated or out of order" => sub {
    run(3, 3);
    ok(wait_for { $node->status->{connections}{active} == 0 }, 'a first round, to have everything in place');
    my @before = held();
    my $memory = memory();
    my $result = run($reloads, $seconds);
    is($result->{reloads}, $reloads, "$reloads reloads while $result->{expected} deliveries were due to $clients clients");
    is($result->{$_}, 0, $_) for qw(disconnects lost duplicates reordered stray unsent);
    diag(sprintf 'publish to deliver: p50 %.1f ms, p99 %.1f ms, at most %.1f ms', map { $result->{"latency_${_}_us"} / 1000 } qw(p50 p99 max));
    ok(wait_for { $node->status->{connections}{active} == 0 && $node->status->{subscriptions} == 0 }, 'all that was counted is given back');
    ok(wait_for { my @now = held(); "@now" eq "@before" }, "master and weftd hold as many descriptors as before: @before")
        or diag('now: ' . join ' ', held());
    is(scalar(my @sockets = glob $nginx->folder . '/nginx.pid.weft/*'), 2, 'two workers can be met');
    is(scalar $nginx->workers, 2, 'and no other is left');
    diag("memory of master and weftd: $memory before, " . memory() . ' after');
};

$t->finish;
done_testing;
