# Peers that mean ill or break: each is followed by a look at the worker, which must be the same, hold no more descriptors
# and not much more memory than before, and count nobody.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use Socket qw(pack_sockaddr_in inet_aton PF_INET SOCK_STREAM SOL_SOCKET SO_LINGER SO_ERROR);
use Test::More;
use Time::HiRes qw(time);
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node(
    'a',
    workers  => 1,
    connections => 16384,
    http     => "    client_header_timeout 10s;\n    client_body_timeout 10s;\n",
    location => "weft_ticket key=$key; weft_rate off; weft_message_size 8k; weft_send_queue 256k;",
    server   => "        location /large { weft_websocket; weft_ticket key=$key; weft_rate off; weft_message_size 2m; }\n",
);
my $nginx     = $node->nginx;
my ($worker)  = $nginx->workers;
my $ticket    = $t->ticket;
my $handshake = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer $ticket\r\n\r\n";
my $ping      = Weft::Client::frame_bytes(text => '{"type":"ping","id":"p"}');

# ---- how it stands with the worker ----

my $bystander = $node->client;    # sees all of it, and must not notice
$bystander->subscribe('chat:bystander');
$node->status for 1 .. 20;

sub descriptors { return $nginx->descriptors_of($worker) }
my $descriptors = descriptors();

# Grown beyond $more bytes since $before? A ratio would mean nothing here: buffers that are used once stay.
sub unharmed {
    my ($before, $more) = @_;
    my $status;
    ok(
        wait_for {
            $status = $node->status;
            my $c = $status->{connections};
            $c->{active} == 1 && $status->{subscriptions} == 1 && $status->{channels} == 1 && $status->{link}{up} == 1;
        },
        'only the bystander is counted'
    ) or diag(explain($status));
    ok(wait_for { descriptors() <= $descriptors }, 'no descriptor is left') or diag(descriptors() . " instead of $descriptors");
    is_deeply([ $nginx->workers ], [$worker], 'the worker is the same');
    my $grown = $nginx->memory_of($worker) - $before;
    cmp_ok($grown, '<', ($more // 8 << 20) + $Weft::Test::SANITIZER_MEMORY, sprintf 'its memory grew by %.1f MB', $grown / (1 << 20)) if defined $before;
    is($node->publish('chat:bystander', ++$unharmed::count)->{status}, 202, 'a publication is accepted');
    is($bystander->event->{data}, $unharmed::count, 'and the bystander gets it');
    return;
}
sub memory { return $nginx->memory_of($worker) }

sub dialled { my (%more) = @_; return Weft::Client->dial(port => $node->port, %more) }

# With the answer read, but none of the frames behind it.
sub answered {
    my $client = dialled(@_);
    $client->raw_send($handshake);
    $client->_read_until(sub { $client->{in} =~ s/^HTTP.*?\r\n\r\n//s }, 'an answer');
    return $client;
}

# ---- ends in every phase: a reset, a FIN without a close frame, a FIN of one half ----

my %phase = (
    'before a byte'                  => sub { dialled() },
    'in the handshake'               => sub { my $c = dialled(); $c->raw_send(substr $handshake, 0, 1 + int rand length($handshake) - 2); $c },
    'behind the handshake, unread'   => sub { my $c = dialled(); $c->raw_send($handshake); $c },
    'behind the 101'                 => sub { answered() },
    'behind the greeting'            => sub { $node->client },
    'in the head of a frame'         => sub { my $c = $node->client; $c->raw_send(substr $ping, 0, 1 + int rand 5); $c },
    'half way through a frame'       => sub { my $c = $node->client; $c->raw_send(substr $ping, 0, 10); $c },
    'half way through a message'     => sub { my $c = $node->client; $c->raw_send(Weft::Client::frame_bytes(text => '{"type":', fin => 0)); $c },
    'with a command on its way'      => sub {
        my $c = $node->client;
        $c->send_json({ type => 'subscribe', id => '1', payload => { channel => 'chat:ends' } });
        $c->send_json({ type => 'rpc', id => '2', payload => { method => 'weft.echo', params => 1 } });
        $c;
    },
    'subscribed, with data queued'   => sub {
        my $c = $node->client(with => { receive_buffer => 4096 });
        $c->subscribe('chat:queued');
        $node->publish('chat:queued', '"' . 'q' x 100_000 . '"') for 1 .. 3;
        $c;
    },
    'behind its own close frame'     => sub { my $c = $node->client; $c->close(1000); $c },
    'behind the server\'s close frame' => sub { my $c = $node->client; $c->raw_send(Weft::Client::frame_bytes(3 => '')); $c->next_frame; $c },
    'refused with 4001'              => sub { Weft::Client->open(port => $node->port) },
);
for my $name (sort keys %phase) {
    check "ends $name" => sub {
        my $before = memory();
        for my $end (qw(reset fin half)) {
            for (1 .. 5) {
                my $client = $phase{$name}->();
                if ($end eq 'half') {
                    shutdown $client->socket, 1;
                    ok(defined eval { $client->read_all; 1 }, 'the server ends its half, too') if $_ == 1;
                }
                $client->hang_up(reset => $end eq 'reset');
            }
        }
        unharmed($before);
    };
}

# ---- many at once ----

my $MANY = 4000;    # each is a descriptor here and one at the worker

# So many sockets, connecting without being waited for.
sub connect_many {
    my ($count) = @_;
    my $to = pack_sockaddr_in($node->port, inet_aton('127.0.0.1'));
    return map {
        socket my $socket, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
        IO::Handle::blocking($socket, 0);
        connect $socket, $to;
        $socket;
    } 1 .. $count;
}

sub reset_all { setsockopt $_, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 for @_; close $_ for @_; return }

check "$MANY connects at once, all reset without a byte" => sub {
    my $before = memory();
    reset_all(connect_many($MANY));    # most of them before there is an answer
    my @all     = connect_many($MANY);
    my $waiting = IO::Select->new(@all);
    my $until   = time + 2 * $Weft::Client::TIMEOUT;
    while ($waiting->count && time < $until) { $waiting->remove($waiting->can_write(1)) }
    is(scalar(grep { getpeername $_ } @all), $MANY, 'all connect');
    reset_all(@all);
    unharmed($before);
};

check "$MANY handshakes at once, all answered, all reset at once" => sub {
    my $before = memory();
    my @all    = connect_many($MANY);
    my $select = IO::Select->new(@all);
    my $until  = time + 2 * $Weft::Client::TIMEOUT;
    my $sent   = 0;
    while ($select->count && time < $until) {
        for my $socket ($select->can_write(1)) {
            $select->remove($socket);
            $sent++ if (syswrite($socket, $handshake) // 0) == length $handshake;
        }
    }
    is($sent, $MANY, 'all connect');
    my %in;
    $select->add(@all);
    while ($select->count && time < $until) {
        for my $socket ($select->can_read(1)) {
            sysread($socket, $in{$socket}, 65_536, length($in{$socket} // '')) or $select->remove($socket), next;
            $select->remove($socket) if $in{$socket} =~ /connection_established/;
        }
    }
    is(scalar(grep { /^HTTP\/1\.1 101 .*connection_established/s } values %in), $MANY, 'all are upgraded and greeted');
    my $status;
    ok(wait_for { ($status = $node->status)->{connections}{active} == $MANY + 1 }, 'and counted') or diag(explain($status));
    reset_all(@all);
    unharmed($before, 24 << 20);
    my $again = memory();

    # What the first wave left in malloc's hands must do for a second. How much of it the kernel got back is chance: up to
    # 5 MB of what it does for both may be in either.
    my @more = connect_many($MANY);
    $select->add(@more);
    while ($select->count && time < $until) {
        for my $socket ($select->can_write(1)) { $select->remove($socket); syswrite $socket, $handshake . $ping }
    }
    reset_all(@more);
    unharmed($again);
};

check '300 subscribers of one channel, all reset while a publication goes to them' => sub {
    my $before  = memory();
    my @clients = map { $node->client } 1 .. 300;
    $_->send_json({ type => 'subscribe', id => 's', payload => { channel => 'chat:crowd' } }) for @clients;
    ok(wait_for { $node->status->{subscriptions} == 301 }, 'all are subscribed');
    my $text = '"' . 'c' x 50_000 . '"';
    for my $i (0 .. $#clients) {
        $node->publish('chat:crowd', $text) if $i % 100 == 50;
        $clients[$i]->hang_up(reset => 1);
    }
    unharmed($before, 24 << 20);
};

# ---- floods ----

check 'a flood of pings is answered, ping by ping, and does not hold up others' => sub {
    my $before = memory();
    my $client = $node->client;
    my $count  = 20_000;
    my ($sent, $pongs) = (0, 0);
    while ($pongs < $count) {
        if ($sent < $count) {
            $client->raw_send(join '', map { Weft::Client::frame_bytes(ping => pack 'N', $_) } $sent .. $sent + 1999);
            $sent += 2000;
            is($bystander->call('ping')->{type}, 'pong', 'a bystander is served') if $sent == 10_000;
        }
        while ($pongs < $sent) {
            my $frame = $client->next_frame;
            die "not a pong in order\n" if $frame->{opcode} != 10 || unpack('N', $frame->{payload}) != $pongs;
            $pongs++;
        }
    }
    is($pongs, $count, "$count pongs in order");
    $client->leave;
    unharmed($before);
};

check 'a flood of pongs, and of empty messages, is swallowed' => sub {
    my $before = memory();
    my $client = $node->client;
    $client->raw_send(Weft::Client::frame_bytes(pong => 'x' x 125) x 20_000);
    $client->raw_send(Weft::Client::frame_bytes(text => '', fin => 0) . Weft::Client::frame_bytes(continuation => '', fin => 0) x 50_000
            . Weft::Client::frame_bytes(continuation => '{"type":"ping","id":"end"}'));
    is($client->expect('pong', 'end')->{id}, 'end', 'what comes behind it is answered');
    $client->leave;
    unharmed($before);
};

check 'wrong commands without end' => sub {
    my $before = memory();
    my $client = $node->client;
    for (1 .. 20) {
        $client->raw_send(Weft::Client::frame_bytes(text => '{"type":"nonsense","id":"n"}') x 500);
        my @errors = map { $client->expect('error')->{payload}{code} } 1 .. 500;
        is(scalar(grep { $_ == 4006 } @errors), 500, 'each is answered') if $_ == 20;
    }
    $client->hang_up(reset => 1);
    unharmed($before);
};

check 'frames byte by byte from fifty at once' => sub {
    my $before  = memory();
    my @clients = map { $node->client } 1 .. 50;
    my $frames  = $ping . Weft::Client::frame_bytes(ping => 'p') . Weft::Client::frame_bytes(text => '{"type":"pi', fin => 0)
        . Weft::Client::frame_bytes(ping => 'q') . Weft::Client::frame_bytes(continuation => 'ng","id":"q"}');
    for my $byte (split //, $frames) { $_->raw_send($byte) for @clients }
    my $good = 0;
    for my $client (@clients) {
        my @frames = map { $client->next_frame } 1 .. 4;
        $good++ if "@{[map { $_->{opcode} } @frames]}" eq '1 10 10 1' && $frames[0]{payload} =~ /"p"/ && $frames[3]{payload} =~ /"q"/;
    }
    is($good, 50, 'all are understood');
    $_->hang_up(reset => 1) for @clients;
    unharmed($before);
};

# ---- lengths that lie ----

my @lengths = (
    # what, bytes, close code
    [ 'a length of 64 bits with the top bit set', pack('CC', 0x82, 0xff) . "\x80" . "\0" x 7 . "mask",        1002 ],
    [ 'a length of 2^64 - 1',                     pack('CC', 0x82, 0xff) . "\xff" x 8 . "mask",               1002 ],
    [ 'a length of 2^63 - 1',                     pack('CCQ>', 0x82, 0xff, ~0 >> 1) . "mask",   1009 ],
    [ 'a length of 2^62',                         pack('CCQ>', 0x82, 0xff, 2**62) . "mask",                   1009 ],
    [ 'a length of 2^32 + 10',                    pack('CCQ>', 0x81, 0xff, 2**32 + 10) . "mask" . 'x' x 10,   1009 ],
    [ 'a length of 2^31',                         pack('CCQ>', 0x81, 0xff, 2**31) . "mask",                   1009 ],
    [ 'a length of one more than allowed',        pack('CCn',  0x81, 0xfe, 8193) . "mask",                    1009 ],
    [ 'a first fragment of 2^62',                 pack('CCQ>', 0x01, 0xff, 2**62) . "mask",                   1009 ],
    [ 'a continuation of 2^62',                   pack('CCNa', 0x01, 0x81, 0, '{') . pack('CCQ>', 0x80, 0xff, 2**62) . "mask", 1009 ],
    [ 'a ping of 2^62',                           pack('CCQ>', 0x89, 0xff, 2**62) . "mask",                   1002 ],
    [ 'a close of 126 bytes',                     pack('CCn',  0x88, 0xfe, 126) . "mask" . 'x' x 126,         1002 ],
);
check 'lengths that nobody can mean' => sub {
    my $before = memory();
    for (@lengths) {
        my ($what, $bytes, $code) = @$_;
        for my $pieces ([$bytes], [ split //, $bytes ]) {
            my $client = $node->client;
            $client->raw_send($_) for @$pieces;
            my $close = $client->read_close(no_answer => 1);
            is($close->{code}, $code, "$what ends with $code" . (@$pieces > 1 ? ', byte by byte, too' : ''));
        }
        # The same behind a handshake, and nobody who waits for the answer.
        my $client = dialled();
        $client->raw_send($handshake . $bytes);
        $client->hang_up(reset => 1);
    }
    unharmed($before);
};

check 'a hundred that announce as much as is allowed, send a byte and wait' => sub {
    my $before  = $nginx->forget_peak($worker);
    my $mapped  = $nginx->mapped_by($worker);
    my @clients = map { $node->client(with => { path => '/large' }) } 1 .. 100;
    my $read    = $node->status->{bytes}{in};
    my $first   = pack('CCQ>', 0x81, 0xff, 2 << 20) . 'mask' . 'x';
    $_->raw_send($first) for @clients;
    ok(wait_for { $node->status->{bytes}{in} >= $read + 100 * length $first }, 'all of it is read');
    is($bystander->call('ping')->{type}, 'pong', 'others are served');
    grew_less($nginx, $worker, $before, 4 << 20, 100 * (2 << 20), 'nothing like a hundred whole buffers');
  SKIP: {
        # Room that is there and has nothing in it yet isn't resident.
        skip "a sanitizer's malloc maps as it likes", 1 if $Weft::Test::SANITIZER_MEMORY;
        my $more = $nginx->mapped_by($worker) - $mapped;
        cmp_ok($more, '<', 4 << 20, sprintf 'nor room for them: %.1f MB', $more / (1 << 20));
    }
    $_->hang_up(reset => 1) for @clients;
    unharmed($before);
};

check 'a peer that goes on sending behind its close, or behind ours' => sub {
    my $before = memory();
    for my $first (Weft::Client::frame_bytes(close => pack 'n', 1000), Weft::Client::frame_bytes(3 => '')) {
        my $client = $node->client;
        $client->raw_send($first);
        for (1 .. 50) { last unless eval { $client->raw_send($ping x 2000, timeout => 2) } }
        $client->hang_up(reset => 1);
    }
    unharmed($before);
};

is($bystander->call('ping')->{type}, 'pong', 'the bystander has seen it all');
$bystander->leave;
my $last;
ok(wait_for { $last = $node->status; $last->{connections}{active} == 0 && $last->{subscriptions} == 0 && $last->{channels} == 0 },
    'and everything is back to nothing') or diag(explain($last));

$t->finish;
done_testing;
