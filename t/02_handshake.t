# The opening handshake, RFC 6455 §4: what is answered to good and bad requests.
use v5.30;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t     = Weft::Test->new;
my $node  = $t->node('a');
my $nginx = $node->nginx;
my $token = $t->ticket;

# The bytes of a request; a header set to undef is left out, one set to a list comes several times.
sub request {
    my (%o) = @_;
    my %headers = (
        Host                    => 'localhost',
        Upgrade                 => 'websocket',
        Connection              => 'Upgrade',
        'Sec-WebSocket-Key'     => 'dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version' => 13,
        Authorization           => "Bearer $token",
        %{ $o{headers} // {} },
    );
    return join '', ($o{method} // 'GET'), ' ', ($o{path} // '/ws'), ' HTTP/', ($o{http} // '1.1'), "\r\n",
        (map {
            my $name = $_;
            map { "$name: $_\r\n" } ref $headers{$name} ? @{ $headers{$name} } : $headers{$name} // ();
        } sort keys %headers),
        "\r\n", $o{body} // '';
}

check 'the example of RFC 6455 §1.3 gets its Sec-WebSocket-Accept' => sub {
    my $answer = $nginx->exchange(request());
    is($answer->{status}, 101, 'upgraded');
    is($answer->{headers}{'sec-websocket-accept'}, 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'the right value');
    like($answer->{headers}{upgrade}    // '', qr/^websocket$/i, 'Upgrade: websocket');
    like($answer->{headers}{connection} // '', qr/^upgrade$/i,   'Connection: upgrade');
    is($answer->{headers}{'sec-websocket-protocol'}, undef, 'no subprotocol was offered, none is answered');
    is($answer->{headers}{'content-length'},    undef, 'no Content-Length');
    is($answer->{headers}{'transfer-encoding'}, undef, 'no Transfer-Encoding');
    like($answer->{bytes}, qr{^HTTP/1\.1 101 Switching Protocols\r\n}, 'the status line is right');
};

my @matrix = (
    # what, request, status, and headers that must come
    [ 'version 8',                     { headers => { 'Sec-WebSocket-Version' => 8 } },     426, version => 1 ],
    [ 'version 14',                    { headers => { 'Sec-WebSocket-Version' => 14 } },    426, version => 1 ],
    [ 'no version',                    { headers => { 'Sec-WebSocket-Version' => undef } }, 426, version => 1 ],
    [ 'a version that is a word',      { headers => { 'Sec-WebSocket-Version' => 'x' } },   426, version => 1 ],
    [ 'no key',                        { headers => { 'Sec-WebSocket-Key' => undef } },     400 ],
    [ 'a key of 15 bytes',             { headers => { 'Sec-WebSocket-Key' => 'AAAAAAAAAAAAAAAAAAAA' } },     400 ],
    [ 'a key of 17 bytes',             { headers => { 'Sec-WebSocket-Key' => 'AAAAAAAAAAAAAAAAAAAAAAA=' } }, 400 ],
    [ 'a key that is no base64',       { headers => { 'Sec-WebSocket-Key' => '!!!!!!!!!!!!!!!!!!!!!!==' } }, 400 ],
    [ 'an empty key',                  { headers => { 'Sec-WebSocket-Key' => '' } },        400 ],
    [ 'two keys',                      { headers => { 'Sec-WebSocket-Key' => [ ('dGhlIHNhbXBsZSBub25jZQ==') x 2 ] } }, 400 ],
    [ 'POST',                          { method => 'POST' },                                405 ],
    [ 'PUT',                           { method => 'PUT' },                                 405 ],
    [ 'HEAD',                          { method => 'HEAD' },                                405 ],
    [ 'HTTP/1.0',                      { http => '1.0' },                                   400 ],
    [ 'no Upgrade',                    { headers => { Upgrade => undef } },                 400 ],
    [ 'another Upgrade',               { headers => { Upgrade => 'h2c' } },                 400 ],
    [ 'an Upgrade that merely begins so', { headers => { Upgrade => 'websockets' } },       400 ],
    [ 'no Connection',                 { headers => { Connection => undef } },              400 ],
    [ 'Connection: keep-alive',        { headers => { Connection => 'keep-alive' } },       400 ],
    [ 'no Host',                       { headers => { Host => undef } },                    400 ],
    [ 'a plain GET',                   { headers => { map { $_ => undef } qw(Upgrade Connection Sec-WebSocket-Key Sec-WebSocket-Version) } }, 400 ],
    [ 'a body',                        { headers => { 'Content-Length' => 4 }, body => 'body' }, 400 ],
    [ 'WebSocket in capitals',         { headers => { Upgrade => 'WebSocket' } },           101 ],
    [ 'websocket among others',        { headers => { Upgrade => 'h2c, websocket' } },      101 ],
    [ 'upgrade among other tokens',    { headers => { Connection => 'keep-alive, Upgrade' } }, 101 ],
    [ 'upgrade in capitals',           { headers => { Connection => 'UPGRADE' } },          101 ],
    [ 'a query string',                { path => '/ws?a=b&c=d' },                           101 ],
    [ 'an offer of permessage-deflate', { headers => { 'Sec-WebSocket-Extensions' => 'permessage-deflate' } }, 101, extensions => undef ],
);
for (@matrix) {
    my ($what, $request, $status, %more) = @$_;
    check "$what is answered $status" => sub {
        my $answer = $nginx->exchange(request(%$request));
        is($answer->{status}, $status, 'the status') or diag($answer->{bytes});
        is($answer->{headers}{'sec-websocket-version'}, 13, 'Sec-WebSocket-Version says 13') if $more{version};
        is($answer->{headers}{'sec-websocket-extensions'}, undef, 'no extension is answered');
        is($answer->{headers}{'sec-websocket-accept'}, undef, 'no Sec-WebSocket-Accept') if $status != 101;
    };
}

my @protocols = (
    [ 'weft.v1.json'                  => 101, 'weft.v1.json' ],
    [ 'chat, weft.v1.json'            => 101, 'weft.v1.json' ],
    [ 'weft.v1.json, chat'            => 101, 'weft.v1.json' ],
    [ 'weft.v9.json,weft.v1.json'     => 101, 'weft.v1.json' ],
    [ 'chat'                          => 400, undef ],
    [ 'weft.v2.json'                  => 400, undef ],
    [ 'WEFT.V1.JSON'                  => 400, undef ],
    [ "bearer.$token"                 => 101, undef ],
    [ "weft.v1.json, bearer.$token"   => 101, 'weft.v1.json' ],
    [ "bearer.$token, weft.v1.json"   => 101, 'weft.v1.json' ],
    [ "bearer.$token, chat"           => 400, undef ],
);
for (@protocols) {
    my ($offered, $status, $chosen) = @$_;
    my $shown = $offered =~ s/\Q$token\E/TOKEN/r;
    check "the offer '$shown' is answered $status" . ($chosen ? " and $chosen" : '') => sub {
        my $answer = $nginx->exchange(request(headers => { 'Sec-WebSocket-Protocol' => $offered }));
        is($answer->{status}, $status, 'the status') or diag($answer->{bytes});
        is($answer->{headers}{'sec-websocket-protocol'}, $chosen, 'the subprotocol');
        unlike($answer->{bytes}, qr/\Q$token\E/, 'the token is not echoed');
        like($answer->{bytes}, qr/weft\.v1\.json/, 'the answer says what is spoken') if $status == 400;
    };
}
check 'offers in two headers count as one list' => sub {
    my $answer = $nginx->exchange(request(headers => { 'Sec-WebSocket-Protocol' => [ 'chat', 'weft.v1.json' ] }));
    is($answer->{status}, 101, 'upgraded');
    is($answer->{headers}{'sec-websocket-protocol'}, 'weft.v1.json', 'the second header was read');
};

check 'frames that come in one segment with the handshake are not lost' => sub {
    for my $size (0, 100, 900, 1100, 5000, 20_000) {
        my $client = Weft::Client->dial(port => $nginx->port);
        my $ping   = $client->encode({ type => 'ping', id => 'p1', payload => { filler => 'x' x $size } });
        $client->raw_send(request() . Weft::Client::frame_bytes(text => $ping) . Weft::Client::frame_bytes(ping => 'hi'));
        $client->_read_until(sub { $client->{in} =~ s/^HTTP.*?\r\n\r\n//s }, 'an answer');
        is($client->next_message->{type}, 'connection_established', "with $size bytes of filler: the greeting first");
        is($client->next_message->{type}, 'pong', 'then the answer to the command');
        my $pong = $client->next_frame;
        is_deeply([ @$pong{qw(opcode payload)} ], [ 10, 'hi' ], 'then the answer to the ping');
    }
};

check 'a handshake may come byte by byte' => sub {
    my $client = Weft::Client->dial(port => $nginx->port);
    $client->raw_send($_) for split //, request();
    $client->_read_until(sub { $client->{in} =~ s/^HTTP.*?\r\n\r\n//s }, 'an answer');
    is($client->next_message->{type}, 'connection_established', 'greeted');
};

check 'an upgrade works on a connection that was kept alive' => sub {
    my $client = Weft::Client->dial(port => $nginx->port);
    $client->raw_send("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $client->_read_until(sub { $client->{in} =~ /\r\n\r\n\{.*\}\s*$/s || $client->{in} =~ /\r\n0\r\n\r\n$/ }, 'the first answer');
    like($client->{in}, qr{^HTTP/1\.1 200 }, 'the first request is answered');
    $client->{in} = '';
    $client->raw_send(request());
    $client->_read_until(sub { $client->{in} =~ s/^HTTP.*?\r\n\r\n//s }, 'an answer');
    is($client->next_message->{type}, 'connection_established', 'greeted');
    is($client->call('ping')->{type}, 'pong', 'and served');
};

check 'a refused handshake leaves the connection usable for HTTP' => sub {
    my $client = Weft::Client->dial(port => $nginx->port);
    $client->raw_send(request(headers => { 'Sec-WebSocket-Version' => 8, Connection => 'Upgrade, keep-alive' }));
    $client->_read_until(sub { $client->{in} =~ /\r\n\r\n/ }, 'an answer');
    like($client->{in}, qr{^HTTP/1\.1 426 }, 'refused');
};

check 'the greeting says who, when and what holds' => sub {
    my $client   = $node->client(sub => 'zoë "quoted"');
    my $greeting = $client->greeting;
    like($greeting->{client_id} // '', qr/^[0-9a-f]{16}$/, 'a client id');
    is($greeting->{user}, 'zoë "quoted"', 'the user of the ticket');
    like($greeting->{server_time} // '', qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'the time, RFC 3339 with milliseconds');
    is($greeting->{heartbeat_ms}, 30_000, 'the heartbeat');
    is($greeting->{node}, 'a', "the node's name");
    is_deeply($greeting->{limits},
        { message_size => 65_536, messages_per_second => 100, messages_burst => 200, bytes_per_second => 1_048_576, subscriptions => 256, pending_rpcs => 512 },
        'the limits') or diag(explain($greeting->{limits}));
    like($greeting->{expires_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/, "the ticket's end");
    isnt($node->client->greeting->{client_id}, $greeting->{client_id}, 'another client has another id');
};

check 'the access log has one line for the upgrade, with status 101' => sub {
    $nginx->exchange(request(path => '/ws?mark=0815'));
    ok(wait_for { slurp($nginx->folder . '/access.log') =~ /mark=0815/ }, 'it is written while the connection is open, or soon after');
    my @lines = grep { /mark=0815/ } split /\n/, slurp($nginx->folder . '/access.log');
    like($lines[0], qr/" 101 /, 'status 101');
};

$t->finish;
done_testing;
