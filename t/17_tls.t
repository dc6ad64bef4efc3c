# Other transports: TLS, a unix socket, IPv6, and a proxy's address before it all.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::IP;
use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $cert = $t->prefix . '/cert.pem';
my $pkey = $t->prefix . '/cert.key';
my $made = system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        . " -addext subjectAltName=DNS:localhost -keyout '$pkey' -out '$cert' 2>/dev/null");
plan skip_all => 'no openssl to make a certificate with' if $made;

my $tls  = $t->port;
my $unix = $t->prefix . '/nginx.sock';
my $ipv6 = IO::Socket::IP->new(LocalHost => '::1', LocalPort => 0, Listen => 1);
my $node = $t->node(
    'a',
    workers  => 2,
    listen   => [ "127.0.0.1:$tls ssl sndbuf=16k", "unix:$unix", $ipv6 ? '[::1]:' . $t->port : () ],
    server   => "        ssl_certificate $cert;\n        ssl_certificate_key $pkey;\n"
        . "        location /beat { weft_websocket; weft_ticket key=$key; weft_heartbeat 1s timeout=2s; }\n",
    http     => "    weft_drain 1s;\n",
    # Clients here answer pings when they are read from, which a slow machine may not come to in a short heartbeat.
    location => "weft_ticket key=$key; weft_rate off; weft_heartbeat 10m; weft_message_size 1m; weft_send_queue 8m;",
);
my ($port6) = map { /^\[::1\]:(\d+)/ } @{ $node->nginx->{options}{listen} };

sub by_tls { return Weft::Client->join(port => $tls, tls => 1, ca => $cert, ticket => $t->ticket, @_) }

check 'the main path works over TLS' => sub {
    my $ann = by_tls();
    my $bob = $node->client;
    $_->subscribe('chat:tls') for $ann, $bob;
    $ann->must('publish', channel => 'chat:tls', data => 'secret');
    is($_->event->{data}, 'secret', 'delivered') for $ann, $bob;
    is($ann->leave->{code}, 1000, 'closed in order');
};

check 'frames right behind the handshake work over TLS' => sub {
    for my $size (0, 2000, 20_000, 100_000) {
        my $client = Weft::Client->dial(port => $tls, tls => 1, ca => $cert);
        $client->raw_send("GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer " . $t->ticket . "\r\n\r\n"
                . Weft::Client::frame_bytes(text => '{"type":"ping","id":"early"}' . ' ' x $size));
        $client->_read_until(sub { $client->{in} =~ s/^HTTP.*?\r\n\r\n//s }, 'an answer');
        is($client->next_message->{type}, 'connection_established', 'greeted');
        is($client->next_message->{id}, 'early', "and the command of $size bytes and more is answered");
    }
};

check 'large messages pass TLS records in both directions' => sub {
    my $ann = by_tls();
    $ann->subscribe('chat:large');
    for my $size (16_383, 16_384, 16_385, 100_000, 900_000) {
        my $text = join '', map { chr(97 + $_ % 26) } 1 .. $size;
        $ann->send_text(qq({"type":"publish","payload":{"channel":"chat:large","data":"$text"}}));
        ok(index($ann->next_text, qq("data":"$text")) >= 0, "$size bytes");
    }
};

check 'many small messages pass TLS' => sub {
    my $ann = by_tls();
    $ann->raw_send(join '', map { Weft::Client::frame_bytes(text => qq({"type":"ping","id":"$_"})) } 1 .. 3000);
    my @got = map { $ann->expect('pong')->{id} } 1 .. 3000;
    is_deeply(\@got, [ 1 .. 3000 ], 'three thousand, in order');
};

check 'a TLS reader that pauses gets everything once it reads again' => sub {
    my $slow      = by_tls();
    my $publisher = $node->client;
    my $filler    = 'z' x 20_000;
    $slow->subscribe('chat:pause');
    for my $round (1 .. 3) {    # far more than sockets and the pipe hold, so that records are left half sent
        $publisher->must('publish', channel => 'chat:pause', data => [ $_, $filler ]) for 1 .. 100;
        my @got = map { $slow->next_text =~ /"data":\[(\d+),/ } 1 .. 100;
        is_deeply(\@got, [ 1 .. 100 ], "round $round");
    }
};

check 'heartbeats work over TLS' => sub {
    my $client = by_tls(path => '/beat');
    is($client->next_frame->{opcode}, 9, 'a ping comes');
    $client->be_silent;
    ok(defined $client->read_close(no_answer => 1)->{eof}, 'and a silent peer is closed');
};

check 'abrupt ends over TLS harm nobody' => sub {
    my @pids = sort $node->nginx->workers;
    for (1 .. 20) {
        my $client = by_tls();
        $client->send_json({ type => 'subscribe', payload => { channel => 'chat:abrupt' } });
        kill 'KILL', $client->{child};
        $client->hang_up;
    }
    my $ann = by_tls();
    $ann->subscribe('chat:abrupt');
    $ann->must('publish', channel => 'chat:abrupt', data => 1);
    is($ann->event->{data}, 1, 'served on');
    is_deeply([ sort $node->nginx->workers ], \@pids, 'by the same workers');
};

check 'bytes that are no TLS on the TLS port harm nobody' => sub {
    $t->expect_in_log(qr/SSL_do_handshake\(\) failed/);
    for (1 .. 20) {
        my $client = Weft::Client->dial(port => $tls);
        $client->raw_send(join '', map { chr int rand 256 } 1 .. 200);
        $client->hang_up;
    }
    is(by_tls()->call('ping')->{type}, 'pong', 'served on');
};

check 'the main path works over a unix socket' => sub {
    my $ann = Weft::Client->join(unix => $unix, ticket => $t->ticket);
    my $bob = $node->client;
    $_->subscribe('chat:unix') for $ann, $bob;
    $bob->must('publish', channel => 'chat:unix', data => 'local');
    is($_->event->{data}, 'local', 'delivered') for $ann, $bob;
    is($ann->leave->{code}, 1000, 'closed in order');
};

check 'the main path works over IPv6' => sub {
    plan skip_all => 'no IPv6 on this host' unless $ipv6;
    my $ann = Weft::Client->join(host => '::1', port => $port6, ticket => $t->ticket);
    $ann->subscribe('chat:six');
    $ann->must('publish', channel => 'chat:six', data => 6);
    is($ann->event->{data}, 6, 'delivered');
};

check 'reload drains clients over TLS, and moves those over a unix socket' => sub {
    my @clients = map { by_tls() } 1 .. 5;
    my @local   = map { Weft::Client->join(unix => $unix, ticket => $t->ticket) } 1 .. 5;
    my @old     = $node->nginx->reload;
    for my $client (@clients) {
        my $close = $client->read_close;
        is($close->{code}, 1012, 'closed with 1012');
        is(scalar(grep { $_->{type} eq 'reconnect' } @{ $close->{messages} }), 1, 'after one reconnect frame');
    }
    ok(wait_for { !grep { -d "/proc/$_" } @old }, 'the old workers end');
    is($_->call('ping')->{type}, 'pong', 'a local client is served on') for @local;
};

$t->finish;
done_testing;
