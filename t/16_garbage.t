# Random bytes, halves and abrupt ends: workers survive, and nothing is left behind.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $seed = $ENV{WEFT_SEED} // int rand 1e9;
srand $seed;
diag("WEFT_SEED=$seed repeats this run") if $ENV{WEFT_SEED};

my $t     = Weft::Test->new;
my $key   = $t->key_file;
my $node  = $t->node('a', location => "weft_ticket key=$key; weft_rate off; weft_message_size 8k;");
my $nginx = $node->nginx;
my @pids  = $nginx->workers;
my $ticket = $t->ticket;
note("seed $seed");

sub bytes { return join '', map { chr int rand 256 } 1 .. $_[0] }

my $handshake = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer $ticket\r\n\r\n";

sub survives {
    is_deeply([ $nginx->workers ], \@pids, 'the worker is the same');
    my $client = $node->client;
    $client->subscribe('chat:survives');
    $client->must('publish', channel => 'chat:survives', data => 1);
    is($client->event->{data}, 1, 'and works');
    $client->leave;
    return;
}

my $rest;
check 'to begin with' => sub { survives(); $rest = $nginx->sockets_of($pids[0]) };

check 'random bytes instead of a handshake' => sub {
    for (1 .. 100) {
        my $client = Weft::Client->dial(port => $nginx->port);
        $client->raw_send(bytes(1 + int rand 300));
        $client->hang_up(reset => $_ % 2);
    }
    survives();
};

check 'handshakes cut anywhere' => sub {
    for my $length (map { int rand length $handshake } 1 .. 100) {
        my $client = Weft::Client->dial(port => $nginx->port);
        $client->raw_send(substr $handshake, 0, $length);
        $client->hang_up(reset => $length % 2);
    }
    survives();
};

check 'ends right after a handshake, before anything is read' => sub {
    for (1 .. 200) {
        my $client = Weft::Client->dial(port => $nginx->port);
        $client->raw_send($handshake);
        $client->hang_up(reset => $_ % 2);
    }
    survives();
};

check 'ends right after a handshake and a frame that makes work' => sub {
    my @frames = map { Weft::Client::frame_bytes(text => $_) }
        '{"type":"subscribe","id":"1","payload":{"channel":"chat:abrupt"}}',
        '{"type":"publish","id":"2","payload":{"channel":"chat:abrupt","data":1}}',
        '{"type":"rpc","id":"3","payload":{"method":"weft.echo","params":1}}';
    for (1 .. 200) {
        my $client = Weft::Client->dial(port => $nginx->port);
        $client->raw_send($handshake . join '', @frames[ 0 .. int rand 3 ]);
        $client->hang_up(reset => $_ % 2);
    }
    survives();
};

check 'ends right after a POST, whatever becomes of it' => sub {
    for my $channel (qw(chat:abrupt nosuch:x chat:%20)) {
        for (1 .. 30) {
            my $client = Weft::Client->dial(port => $nginx->port);
            $client->raw_send("POST /publish/$channel HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n1");
            $client->hang_up(reset => $_ % 3);
        }
    }
    survives();
};

check 'random bytes instead of frames' => sub {
    for (1 .. 200) {
        my $client = $node->client;
        $client->raw_send(bytes(1 + int rand 500));
        $client->hang_up(reset => $_ % 2);
    }
    survives();
};

check 'good frames with flipped bits' => sub {
    my @texts = (
        '{"type":"ping","id":"x"}',
        '{"type":"subscribe","id":"1","payload":{"channel":"chat:bits","position":"k3f.129_b77.12"}}',
        '{"type":"publish","id":"2","payload":{"channel":"chat:bits","data":{"a":[1,2,"\u00e9"]}}}',
        '{"type":"signal","id":"2","payload":{"channel":"chat:bits","name":"n","data":null}}',
    );
    for (1 .. 500) {
        my $client = $_ % 20 ? undef : $node->client;
        state $current;
        $current = $client if $client || !$current;
        $current //= $node->client;
        my $bytes = Weft::Client::frame_bytes(text => $texts[ rand @texts ]);
        substr($bytes, rand length $bytes, 1) = chr int rand 256 for 0 .. int rand 3;
        undef $current if !$current->raw_send($bytes) || !$current->is_open;
    }
    survives();
};

check 'texts with mutations, rightly framed' => sub {
    my $client;
    for (1 .. 500) {
        my $text = '{"type":"publish","id":"2","payload":{"channel":"chat:json","data":{"a":[1,2,"\u00e9"]}}}';
        substr($text, rand length $text, int rand 4) = join '', map { chr 32 + int rand 95 } 1 .. int rand 4 for 0 .. int rand 3;
        $client = $node->client if !$client || !$client->is_open;
        $client->send_text($text);
    }
    is($client->call('ping')->{type}, 'pong', 'wrong commands do not end a connection');
    survives();
};

check 'half frames, and then the end' => sub {
    for (1 .. 100) {
        my $client = $node->client;
        my $frame  = Weft::Client::frame_bytes(text => '{"type":"ping","payload":"' . 'x' x 3000 . '"}');
        $client->raw_send(substr $frame, 0, int rand length $frame);
        $client->hang_up(reset => $_ % 2);
    }
    survives();
};

check 'one half of the connection closed' => sub {
    for (1 .. 20) {
        my $client = $node->client;
        $client->subscribe('chat:half');
        shutdown $client->socket, 1;
        $client->read_close(no_answer => 1);
        ok(defined $client->eof, 'the server ends the other half');
    }
    survives();
};

check 'ends while events are on their way' => sub {
    my $publisher = $node->client;
    for my $round (1 .. 30) {
        my @clients = map { $node->client } 1 .. 5;
        $_->send_json({ type => 'subscribe', payload => { channel => 'chat:rain' } }) for @clients;
        $publisher->send_json({ type => 'publish', payload => { channel => 'chat:rain', data => 'x' x 5000 } }) for 1 .. 20;
        $_->hang_up(reset => $round % 2) for @clients;
    }
    $publisher->must('ping');
    survives();
};

check 'many fragments without an end' => sub {
    my $client = $node->client;
    $client->raw_send(Weft::Client::frame_bytes(text => '', fin => 0));
    my $bytes = Weft::Client::frame_bytes(continuation => '', fin => 0) x 1000;
    $client->raw_send($bytes) for 1 .. 50;
    is($node->client->call('ping')->{type}, 'pong', 'others are served');
    $client->hang_up(reset => 1);
    survives();
};

check 'nothing of all that is left' => sub {
    ok(wait_for { $nginx->sockets_of($pids[0]) <= $rest }, 'the worker holds no more sockets than at the start')
        or diag($nginx->sockets_of($pids[0]) . " instead of $rest");
    my $status = $node->status;
    ok(wait_for { ($status = $node->status)->{connections}{active} == 0 }, 'no connection is counted');
    is($status->{subscriptions}, 0, 'no subscription either');
};

$t->finish;
done_testing;
