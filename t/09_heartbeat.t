# Heartbeats: silent peers are found and closed, living ones are left alone.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node('a', location => "weft_ticket key=$key; weft_rate off; weft_heartbeat 1s timeout=1s;");

check 'a silent peer is pinged, and then closed' => sub {
    my $began  = time;
    my $client = $node->client;
    $client->be_silent;
    my $frame = $client->next_frame;
    is($frame->{opcode}, 9, 'a ping comes');
    my $pinged = time - $began;
    my $close  = $client->read_close(no_answer => 1);
    ok(defined $close->{eof}, 'then the connection ends');
    cmp_ok($pinged, '>', 0.5, 'the ping did not come at once');
    cmp_ok(time - $began, '>', 1.2, 'nor the end right after it');
};

check 'a silent peer that never answers the close is dropped all the same' => sub {
    my $client = $node->client;
    my $worker = $node->nginx->worker_of($client);
    my $before = $node->nginx->sockets_of($worker);
    # Nothing is read or written here from now on; the socket of the server must vanish.
    ok(wait_for { $node->nginx->sockets_of($worker) < $before }, 'its socket is given back');
};

check 'a client that answers pings stays' => sub {
    my $client = $node->client;
    my $pings  = 0;
    while ($pings < 3) {
        my $frame = $client->next_frame // last;
        last if $frame->{opcode} != 9;
        $pings++;
        $client->send_frame(pong => $frame->{payload});
    }
    is($pings, 3, 'over three heartbeats');
    is($client->call('ping')->{type}, 'pong', 'and is served');
};

check 'traffic counts as life: whoever sends is not pinged' => sub {
    my ($pings, $pongs);
    # Who is held up for about a heartbeat itself, as on a busy machine, is pinged rightly: then it is tried again.
    for (1 .. 10) {
        my $last    = time;
        my $client  = $node->client;
        my $until   = time + 3;
        my $longest = 0;
        ($pings, $pongs) = (0, 0);
        while (time < $until) {
            $client->send_text('{"type":"ping"}');
            my $now = time;
            $longest = $now - $last if $now - $last > $longest;
            $last    = $now;
            my $wait = $now + 0.2;
            while ((my $left = $wait - time) > 0) {
                my $frame = $client->next_frame(timeout => $left, quiet => 1) or last;
                $frame->{opcode} == 9 ? $pings++ : $pongs++;
            }
        }
        last if !$pings || $longest < 0.7;
    }
    is($pings, 0, 'no ping in three seconds');
    cmp_ok($pongs, '>', 5, 'while messages were answered');
};

check 'a client that answers no ping but sends otherwise stays' => sub {
    my $client = $node->client;
    $client->be_silent;
    my $until = time + 3;
    while (time < $until) {
        $client->raw_send(Weft::Client::frame_bytes(pong => ''));
        select undef, undef, undef, 0.3;
    }
    is($client->call('ping')->{type}, 'pong', 'after three seconds');
};

check 'receiving alone is not life' => sub {
    my $silent = $node->client;
    $silent->subscribe('chat:busy');
    $silent->be_silent;
    my $publisher = $node->client;
    my $ended     = wait_for {
        $publisher->must('publish', channel => 'chat:busy', data => 1);
        !$silent->is_open;
    };
    ok($ended, 'a peer that only gets events is closed');
};

check 'half a frame that trickles in is not cut off by the heartbeat' => sub {
    my $client = $node->client;
    my @bytes  = split //, Weft::Client::frame_bytes(text => '{"type":"ping","id":"trickle"}');
    for (@bytes[ 0 .. 14 ]) { $client->raw_send($_); select undef, undef, undef, 0.15 }
    $client->raw_send(join '', @bytes[ 15 .. $#bytes ]);
    is($client->expect('pong')->{id}, 'trickle', 'answered');
};

check 'a connection that vanishes without a word is given back' => sub {
    my ($worker) = $node->nginx->workers;
    my $before  = $node->nginx->sockets_of($worker);
    my @clients = map { $node->client } 1 .. 20;
    $_->be_silent for @clients;
    ok(wait_for { $node->nginx->sockets_of($worker) <= $before }, 'all twenty sockets');
};

$t->finish;
done_testing;
