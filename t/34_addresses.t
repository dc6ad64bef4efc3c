# Where clients come from: IPv6, unix sockets, PROXY protocol of both versions, X-Forwarded-For; and what the log says.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::IP;
use Socket qw(AF_INET AF_INET6 inet_pton);
use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $ipv6 = IO::Socket::IP->new(LocalHost => '::1', LocalPort => 0, Listen => 1) ? $t->port : undef;
my ($by_proxy, $only_log, $forwarded, $both) = map { $t->port } 1 .. 4;
my $unix       = $t->prefix . '/plain.sock';
my $unix_proxy = $t->prefix . '/proxy.sock';

my $ticket = "weft_ticket key=$key; weft_rate off;";
my $block  = sub {
    my ($listen, $more) = @_;
    return "    server {\n        listen $listen;\n        $more\n        access_log access.log address;\n"
        . "        location /ws { weft_websocket; $ticket }\n        location = /publish { weft_publish chat:address; }\n    }\n";
};
my $node = $t->node(
    'a',
    workers => 2,
    http    => join('',
        "    weft_drain 1s;\n    weft_reload drain;\n",
        "    log_format address '\$remote_addr|\$proxy_protocol_addr|\$http_mark|\$status|\$server_addr';\n",
        $block->("unix:$unix", ''),
        $block->("unix:$unix_proxy proxy_protocol", 'set_real_ip_from unix:; real_ip_header proxy_protocol;'),
        $block->("127.0.0.1:$by_proxy proxy_protocol", 'set_real_ip_from 127.0.0.0/8; real_ip_header proxy_protocol;'),
        $block->("127.0.0.1:$only_log proxy_protocol", ''),
        $block->("127.0.0.1:$forwarded", 'set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For; real_ip_recursive on;'),
        $block->("127.0.0.1:$both proxy_protocol", 'set_real_ip_from 127.0.0.0/8; real_ip_header proxy_protocol; allow 192.0.2.0/24; deny all;'),
        $ipv6 ? $block->("[::1]:$ipv6 ipv6only=on", '') : ()),
);

# The header of version 2: a local one for health checks, or one that says who the client is.
sub version2 {
    my ($command, $family, $from, $to, $tlvs) = @_;
    my $head = "\r\n\r\n\0\r\nQUIT\n";
    return $head . pack 'CCn', 0x20, 0x00, 0 if $command eq 'local';
    my $body = inet_pton($family, $from) . inet_pton($family, $to) . pack('nn', 40_000, 443) . ($tlvs // '');
    return $head . pack('CCn', 0x21, $family == AF_INET ? 0x11 : 0x21, length $body) . $body;
}

my @ways = (
    # what, where to, headers, what the log says: address, address of the PROXY header
    [ 'a unix socket',                 { unix => $unix }, [], 'unix:', '-' ],
    [ 'PROXY v1 over a unix socket',   { unix => $unix_proxy, first => "PROXY TCP4 192.0.2.9 198.51.100.1 40000 443\r\n" }, [], '192.0.2.9', '192.0.2.9' ],
    [ 'PROXY v1, TCP4',                { port => $by_proxy, first => "PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\r\n" }, [], '192.0.2.1', '192.0.2.1' ],
    [ 'PROXY v1, TCP6',                { port => $by_proxy, first => "PROXY TCP6 2001:db8::1 2001:db8::2 40000 443\r\n" }, [], '2001:db8::1', '2001:db8::1' ],
    [ 'PROXY v1, UNKNOWN',             { port => $by_proxy, first => "PROXY UNKNOWN\r\n" }, [], '127.0.0.1', '-' ],
    [ 'PROXY v2, TCP4',                { port => $by_proxy, first => version2(proxy => AF_INET, '192.0.2.2', '198.51.100.1') }, [], '192.0.2.2', '192.0.2.2' ],
    [ 'PROXY v2, TCP6',                { port => $by_proxy, first => version2(proxy => AF_INET6, '2001:db8::3', '2001:db8::4') }, [], '2001:db8::3', '2001:db8::3' ],
    [ 'PROXY v2 with more in it',      { port => $by_proxy, first => version2(proxy => AF_INET, '192.0.2.3', '198.51.100.1', "\x04\0\x10" . "\0" x 16) }, [], '192.0.2.3', '192.0.2.3' ],
    [ 'PROXY v2, LOCAL',               { port => $by_proxy, first => version2('local') }, [], '127.0.0.1', '-' ],
    [ 'PROXY without set_real_ip_from', { port => $only_log, first => "PROXY TCP4 192.0.2.4 198.51.100.1 40000 443\r\n" }, [], '127.0.0.1', '192.0.2.4' ],
    [ 'X-Forwarded-For',               { port => $forwarded }, [ 'X-Forwarded-For' => '203.0.113.7' ], '203.0.113.7', '-' ],
    [ 'X-Forwarded-For over two proxies', { port => $forwarded }, [ 'X-Forwarded-For' => '1.1.1.1, 203.0.113.8, 10.1.2.3' ], '203.0.113.8', '-' ],
    [ 'X-Forwarded-For, IPv6',         { port => $forwarded }, [ 'X-Forwarded-For' => '2001:db8::9' ], '2001:db8::9', '-' ],
    [ 'PROXY and allow by the address it gives', { port => $both, first => "PROXY TCP4 192.0.2.5 198.51.100.1 40000 443\r\n" }, [], '192.0.2.5', '192.0.2.5' ],
    ($ipv6 ? [ 'IPv6',                 { host => '::1', port => $ipv6 }, [], '::1', '-' ] : ()),
);

my $mark = 0;
for (@ways) {
    my ($what, $to, $headers, $address, $proxied) = @$_;
    check "$what: the main path works, and the log has the address" => sub {
        my $id     = 'm' . ++$mark;
        my $client = Weft::Client->join(%$to, authority => 'localhost', ticket => $t->ticket, headers => [ Mark => $id, @$headers ]);
        my $other  = $node->client;
        $_->subscribe("chat:$id") for $client, $other;
        $client->must('publish', channel => "chat:$id", data => $id);
        is($_->event->{data}, $id, 'delivered') for $client, $other;
        # More than one packet, behind whatever stood in front of the handshake.
        my $text = 'x' x 40_000;
        $other->must('publish', channel => "chat:$id", data => $text);
        is($_->event->{data}, $text, 'a long one, too') for $client, $other;
        is($client->leave->{code}, 1000, 'closed in order');
        my ($line, @more) = $node->nginx->access_lines(qr/\|$id\|/);
        my @field = split /\|/, $line // '';
        is($field[0], $address, 'the address');
        is($field[1], $proxied, 'the address that the PROXY header says');
        is($field[3], 101,      'status 101');
        is(scalar @more, 0, 'in one line');
    };
}

check 'what is denied by the address of the PROXY header does not get in' => sub {
    my $client = Weft::Client->dial(port => $both, first => "PROXY TCP4 203.0.113.1 198.51.100.1 40000 443\r\n");
    eval { Weft::Client->open(port => $both, first => "PROXY TCP4 203.0.113.1 198.51.100.1 40000 443\r\n", ticket => $t->ticket) };
    like($@, qr{^the handshake was answered with: HTTP/1\.1 403 }, 'it is answered 403');
};

check 'PROXY headers that are none end in nginx, and nothing is left' => sub {
    my $accepted = $node->status->{connections}{accepted};
    for my $first ("PROXY TCP4 192.0.2.1\r\n", "PROXY \r\n", 'x' x 200, "\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", version2('local') =~ s/\x20\0\0\0$/\x31\0\0\0/r) {
        my $client = Weft::Client->dial(port => $by_proxy, first => $first);
        $client->raw_send("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n");
        shutdown $client->socket, 1;
        my $answer = $client->read_all;
        unlike($answer, qr/ 101 /, 'no upgrade');
    }
    is($node->status->{connections}{accepted}, $accepted, 'no connection');
    $t->expect_in_log(qr/broken header|PROXY protocol/);
};

check 'a PROXY header and the handshake in one packet, and byte by byte' => sub {
    my $handshake = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer " . $t->ticket . "\r\n\r\n";
    my $bytes = version2(proxy => AF_INET, '192.0.2.77', '198.51.100.1') . $handshake . Weft::Client::frame_bytes(text => '{"type":"ping","id":"p"}');
    for my $size (length $bytes, 7, 1) {
        # nginx wants the whole PROXY header in one read.
        my $head   = 28;
        my $client = Weft::Client->dial(port => $by_proxy);
        $client->raw_send(substr $bytes, 0, $size > $head ? $size : $head);
        for (my $at = $size > $head ? $size : $head; $at < length $bytes; $at += $size) { $client->raw_send(substr $bytes, $at, $size) }
        $client->_read_until(sub { $client->{in} =~ s/^HTTP.*?\r\n\r\n//s }, 'an answer');
        is($client->next_message->{type}, 'connection_established', "pieces of $size bytes: greeted");
        is($client->next_message->{id}, 'p', 'and the frame is answered');
    }
};

check 'a POST by a proxy is published, and logged with its address' => sub {
    my $ann = $node->client;
    $ann->subscribe('chat:address');
    my $client = Weft::Client->dial(port => $by_proxy, first => version2(proxy => AF_INET, '192.0.2.88', '198.51.100.1'));
    $client->raw_send("POST /publish HTTP/1.1\r\nHost: x\r\nMark: post\r\nContent-Length: 1\r\nConnection: close\r\n\r\n8");
    like($client->read_all, qr{^HTTP/1\.1 202 }, 'accepted');
    is($ann->event->{data}, 8, 'delivered');
    my ($line) = $node->nginx->access_lines(qr/\|post\|/);
    like($line, qr/^192\.0\.2\.88\|/, 'the address');
};

check 'reload drains all of them, and the unix socket goes on' => sub {
    my @clients = map { Weft::Client->join(%{ $_->[1] }, authority => 'localhost', ticket => $t->ticket, headers => [ @{ $_->[2] } ]) } @ways;
    my @old     = $node->nginx->reload;
    is(scalar(grep { ($_->read_close->{code} // 0) == 1012 } @clients), scalar @ways, 'closed with 1012');
    ok($node->nginx->wait_gone(@old), 'the old workers are gone');
    is(Weft::Client->join(unix => $unix, ticket => $t->ticket)->call('ping')->{type}, 'pong', 'served on the unix socket');
    my $status;
    ok(wait_for { ($status = $node->status)->{connections}{active} == 0 }, 'all counted out') or diag(explain($status));
};

$t->finish;
done_testing;
