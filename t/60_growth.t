# Rounds of the same work must not make a process larger: neither worker nor master nor weftd, in memory or descriptors.
#
# Looked at is what a process has written and shares with nobody (Private_Dirty), after each round, when it is idle
# again. The first round fills what is kept for the next time (pools of the allocator, tables, buffers) and doesn't
# count, and the second may still. From the second to the third a process may grow by half a KiB for each connection that
# came and went: 150 KiB. A third round was seen to grow by 0 to 40 KiB (and the fiftieth by nothing), while a leak of
# 1 KiB a connection makes 300.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

plan skip_all => 'a sanitizer keeps what is freed' if $ENV{ASAN_OPTIONS};

my $CONNECTIONS = 300;                       # of each round
my $BOUND       = $CONNECTIONS * 1024 / 2;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node(
    'a',
    http     => "    weft_channel seen:* { presence on debounce=1s; }\n",
    location => "weft_ticket key=$key; weft_rate off;",
);
my ($nginx, $weftd) = ($node->nginx, $node->weftd);

sub private_memory {
    my ($pid) = @_;
    my ($kilobytes) = slurp("/proc/$pid/smaps_rollup") =~ /^Private_Dirty:\s+(\d+) kB/m or die "no smaps_rollup of $pid\n";
    return $kilobytes * 1024;
}
sub descriptors { my ($pid) = @_; return scalar(() = glob "/proc/$pid/fd/*") }

# name => [memory, descriptors] of each process, {name => pid}. A request that was answered (the one for the status, say)
# may have its socket for a moment yet: so a process gets time to hold no more descriptors than in the round before.
sub sizes {
    my ($before, %pids) = @_;
    wait_for { !grep { descriptors($pids{$_}) > $before->{$_}[1] } keys %pids } if $before;
    return { map { $_ => [ private_memory($pids{$_}), descriptors($pids{$_}) ] } keys %pids };
}

sub is_steady {
    my (@rounds) = @_;
    for my $name (sort keys %{ $rounds[-1] }) {
        my @memory = map { $_->{$name}[0] } @rounds;
        my @files  = map { $_->{$name}[1] } @rounds;
        cmp_ok($memory[-1] - $memory[-2], '<', $BOUND, "$name holds no more memory") or diag("bytes, by round: @memory");
        cmp_ok($files[-1], '<=', $files[-2], "$name holds no more descriptors") or diag("by round: @files");
        note("$name: " . join ', ', map { $_ / 1024 . ' KiB' } @memory);
    }
    return;
}

# The channels are the same in each round: weftd remembers a channel for a while after its last subscriber.
sub come_and_go {
    for my $batch (1 .. 6) {
        my @clients = map { $node->client(sub => "user$_") } 1 .. $CONNECTIONS / 6;
        $clients[$_]->subscribe('chat:' . $_ % 10) for 0 .. $#clients;
        $clients[$_]->must('publish', channel => "chat:$_", data => 'd' x 500) for 0 .. 9;
        $_->event for @clients;
        for my $i (0 .. $#clients) {
            if    ($i % 3 == 0) { $clients[$i]->leave }
            elsif ($i % 3 == 1) { $clients[$i]->hang_up(reset => 1) }
            else {
                $clients[$i]->raw_send(substr Weft::Client::frame_bytes(text => 'x' x 3000), 0, 1000);    # half a message
                $clients[$i]->hang_up;
            }
        }
        is($node->publish('chat:1', '"p"')->{status}, 202, 'a POST');
        Weft::Client->open(port => $node->port, ticket => 'no.ticket.atall')->read_close for 1 .. 5;
    }
    # The one that asks is a connection too, and gone when it is closed.
    wait_for { $node->status->{connections}{active} == 0 } or die "connections are left\n";
    return;
}

check 'worker and weftd stay as they are while clients come and go' => sub {
    my ($worker) = $nginx->workers;
    my @rounds;
    for (1 .. 3) {
        come_and_go();
        push @rounds, sizes($rounds[-1], worker => $worker, weftd => $weftd->pid);
    }
    is_steady(@rounds);
};

check 'master and weftd stay as they are through reloads, and each worker is as large as the one before' => sub {
    my @rounds;
    for (1 .. 3) {
        for (1 .. 4) {
            my @clients = map { $node->client } 1 .. 50;
            $_->subscribe('chat:1') for @clients;
            my @old = $nginx->reload;
            wait_for { !grep { -d "/proc/$_" } @old } or die "an old worker stays\n";
            # They have moved.
            $_->must('ping') for @clients;
            $_->hang_up for @clients;
        }
        $node->wait_linked;
        push @rounds, sizes($rounds[-1], master => $nginx->pid, worker => $nginx->workers, weftd => $weftd->pid);
    }
    is_steady(@rounds);
};

check 'master and weftd stay as they are through workers that are killed, and each worker is as large as the one before' => sub {
    $t->expect_in_log(qr/worker process \d+ exited on signal 9/);
    my @rounds;
    for (1 .. 3) {
        for (1 .. 12) {
            my @clients = map { $node->client(sub => "user$_") } 1 .. $CONNECTIONS / 12;
            $clients[$_]->subscribe('chat:' . $_ % 10), $clients[$_]->subscribe('seen:1') for 0 .. $#clients;
            $clients[0]->must('publish', channel => 'chat:0', data => 'd' x 500);
            my ($victim) = $nginx->workers;
            kill 'KILL', $victim;
            wait_for { !grep { $_->is_open } @clients } or die "a connection outlives its worker\n";
            wait_for { $nginx->workers == 1 && !grep { $_ == $victim } $nginx->workers } or die "no other worker comes\n";
            $node->wait_linked;
        }
        # Whom weftd knew by the dead workers it has forgotten, too.
        my $alone = $node->client(sub => 'alone');
        $alone->subscribe('seen:1');
        wait_for { @{ $alone->must('presence', channel => 'seen:1')->{members} } == 1 } or die "members are left\n";
        $alone->leave;
        wait_for { my $s = $node->status; $s->{connections}{active} == 0 && $s->{subscriptions} == 0 } or die "connections are left\n";
        push @rounds, sizes($rounds[-1], master => $nginx->pid, worker => $nginx->workers, weftd => $weftd->pid);
    }
    is_steady(@rounds);
};

check 'worker and weftd stay as they are while their link comes and goes' => sub {
    my ($worker) = $nginx->workers;
    my @rounds;
    my $client = $node->client;
    $client->subscribe("chat:$_") for 1 .. 10;
    for (1 .. 3) {
        for (1 .. 4) {
            $weftd->crash;
            Weft::Test::Node::unserved($client);
            $weftd->start;
            Weft::Test::Node::served($client);
        }
        $client->drain;
        push @rounds, sizes($rounds[-1], worker => $worker);
    }
    is_steady(@rounds);
};

$t->finish;
done_testing;
