# Nodes that are cut off from each other for real: their weftds are in network namespaces of their own, nginx and clients
# are not. Nothing acknowledged is lost, what may have been missed is told, and afterwards all nodes hold the same.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);
use Weft::Test;
use Weft::Test::Network;
use Weft::Test::Traffic;

if (my $why = Weft::Test::Network::missing()) { plan skip_all => $why }

use constant { DEAD => 1, SYNC => 1 };    # seconds

my $t       = Weft::Test->new;
my $key     = $t->key_file;
my @names   = qw(a b c);
my $network = Weft::Test::Network->new($t, @names);
my %mesh    = map { $_ => 'tcp://' . $network->address($_) . ':7400' } @names;
my %with    = (
    workers  => 2,
    location => "weft_ticket key=$key; weft_rate off;",
    rules    => "weft_channel sure:* { publish on; history 100000 10m; ack peer; }\n"
        . "weft_channel room:* { publish on; presence on debounce=100ms; }\nweft_channel ** { publish on; }\n",
);
my %node = map { $_ => start($_) } @names;
my @nodes = @node{@names};

sub start {
    my ($name) = @_;
    my $weftd = $t->weftd($name,
        mesh       => $mesh{$name},
        peers      => [ @mesh{@names} ],
        under      => $network->within($name),
        weftd_yaml => '  heartbeat: 200ms' . "\n  dead: " . DEAD . "s\n  sync: " . SYNC . "s\n  member_timeout: 4s\n  insecure: true\n");
    my $nginx = $t->nginx($name, sidecar => $weftd->worker_address, %with);
    return Weft::Test::Node->new(test => $t, name => $name, weftd => $weftd, nginx => $nginx)->wait_linked;
}
sub link_count {
    my ($node, $event) = @_;
    return scalar(() = $node->weftd->log_text =~ /event=$event .*direction=out/g);
}
sub wait_whole {
    return wait_for { !grep { link_count($_, 'peer_up') - link_count($_, 'peer_down') < @names - 1 } @nodes };
}

# Users of a channel as a node tells them, sorted.
sub members {
    my ($node, $channel) = @_;
    my $client = $node->client;
    my (@members, $after);
    for (;;) {
        my $page = $client->must('presence', channel => $channel, defined $after ? (after => $after) : ());
        push @members, map { $_->{user} } @{ $page->{members} };
        last unless defined($after = $page->{next});
    }
    $client->hang_up;
    return join ' ', sort @members;
}

# Seconds until what the block returns for each node is the same string everywhere, and fits. A node whose weftd stood still
# may not answer yet.
sub seconds_until_same {
    my ($what, $expected, $look) = @_;
    my ($began, @seen) = time;
    my $same = wait_for { @seen = map { eval { $look->($_) } // "no answer: $@" } @nodes; !grep { !$expected->($_) || $_ ne $seen[0] } @seen };
    ok($same, "$what are the same on all nodes") or diag(join "\n", @seen);
    return time - $began;
}

check 'all nodes have links to all' => sub { ok(wait_whole(), 'each way') };

# Each fault lasts for three times the time after which a peer counts as dead.
my @faults = (
    [ 'a cable is pulled',          sub { $network->cut('b') },            sub { $network->mend('b') },           'b' ],
    [ 'a weftd stands still',       sub { $node{c}->weftd->signal('STOP') }, sub { $node{c}->weftd->signal('CONT') }, 'c' ],
    [ 'packets are lost one way',   sub { $network->mute('a', 'b') },      sub { $network->unmute('a', 'b') },    undef ],
);

check 'nothing acknowledged is lost, whatever is cut' => sub {
    my ($next, $number, $mend, $healed) = (time + 2, 0, undef, undef);
    my $seconds = $ENV{WEFT_ACK_SECONDS} // 24;
    my $result  = Weft::Test::Traffic::run(
        test      => $t, name => 'partition', channel => 'sure:partition', nodes => \@nodes, seconds => $seconds,
        meanwhile => sub {
            return if time < $next;
            if ($mend) {
                $mend->();
                undef $mend;
                $next = time + 5;
            }
            else {
                my ($what, $break);
                ($what, $break, $mend) = @{ $faults[ $number++ % @faults ] };
                note($what);
                $break->();
                $next = time + 3 * DEAD;
            }
        },
        afterwards => sub { $mend->() if $mend; });
    Weft::Test::Traffic::judge($result, "$number faults in turn: " . join ', ', map { $_->[0] } @faults);
    cmp_ok($number, '>=', @faults, 'each fault struck');
    ok(wait_whole(), 'the mesh is whole again');
};

for my $fault (@faults) {
    my ($what, $break, $mend, $victim) = @$fault;
    check "$what: what may have been missed is told, and afterwards all nodes hold the same" => sub {
        my $channel = 'room:' . int rand 1e9;
        $_->wait_linked for @nodes;
        my %client  = map { $_ => $node{$_}->client(sub => "user-$_") } @names;
        $client{$_}->subscribe($channel) for @names;
        my $all = join ' ', map { "user-$_" } @names;
        seconds_until_same('members', sub { $_[0] eq $all }, sub { members($_[0], $channel) });
        my $plain = $node{b}->client(sub => 'reader');
        $plain->subscribe('plain:gap');

        my $downs = link_count($node{b}, 'peer_down') + link_count($node{c}, 'peer_down');
        $break->();
        my $until = time + 3 * DEAD;
        my ($from, $sent) = ($node{a}->client(sub => 'writer'), 0);
        my $writer = $node{a}->client(sub => 'sure');
        while (time < $until) {
            $from->must('publish', channel => 'plain:gap', data => ++$sent);
            $writer->call('publish', channel => 'sure:alone', data => "$what-$sent", message_id => "$what-$sent");
            sleep 0.05;
        }
        ok(wait_for { link_count($node{b}, 'peer_down') + link_count($node{c}, 'peer_down') > $downs }, 'the nodes see it');
        # One comes and one goes at each node while the mesh is split.
        my $late = $node{a}->client(sub => 'user-late');
        $late->subscribe($channel);
        (delete $client{a})->hang_up;
        $mend->();
        my $began = time;
        my $now = join ' ', 'user-b', 'user-c', 'user-late';
        my $members = seconds_until_same('members', sub { $_[0] eq $now }, sub { members($_[0], $channel) });
        my $history = seconds_until_same('histories', sub { length $_[0] }, sub {
            my $held = Weft::Test::Traffic::held($_[0], 'sure:alone');
            return join ' ', map { "$_=$held->{$_}" } sort keys %$held;
        });
        diag(sprintf '%s for %d s: %.1f s after its end all members, %.1f s after it all histories are the same (sync is %d s)',
            $what, 3 * DEAD, $members, time - $began, SYNC);
        ok(wait_whole(), 'the mesh is whole again');

        $from->must('publish', channel => 'plain:gap', data => 'last');
        my ($got, $told, $event) = (0, 0);
        while ($event = $plain->next_message(timeout => 20, quiet => 1)) {
            if ($event->{type} eq 'gap') { ++$told; next }
            next if $event->{type} ne 'event';
            last if $event->{payload}{data} eq 'last';
            ++$got;
        }
        ok($event, 'the last publication comes');
        diag("$what: $got of $sent publications without history came, $told gaps told");
        ok($got == $sent || $told > 0, 'what did not come was told');
        $_->hang_up for values(%client), $plain, $from, $writer, $late;
    };
}

$t->finish;
$network->close;
done_testing;
