# The edges of the handover: keep-alive before it, bodies, frames behind the handshake, drips and time-outs, large heads, and
# the line in the access log.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);
use Weft::Test;

my $t      = Weft::Test->new;
my $key    = $t->key_file;
my $ticket = $t->ticket;
my ($timed, $small) = ($t->port, $t->port);
my $node   = $t->node(
    'a',
    workers => 1,
    http    => <<"HTTP",
    weft_rate off;
    weft_ticket key=$key;
    weft_message_size 1m;
    log_format edges '\$http_mark|\$status|\$bytes_sent|\$body_bytes_sent|\$request_length|\$connection|\$connection_requests|\$request_method';
    access_log access.log edges;
    server {
        listen 127.0.0.1:$timed;
        client_header_timeout 1s;
        keepalive_timeout 1s;
        location / { weft_websocket; }
    }
    server {
        listen 127.0.0.1:$small;
        client_header_buffer_size 128;
        large_client_header_buffers 4 16k;
        connection_pool_size 256;
        request_pool_size 256;
        location / { weft_websocket; }
        location = /status { weft_status; }
    }
HTTP
    server => "        tcp_nopush on;\n        sendfile on;\n        location /text { alias html/text; default_type text/plain; }\n        location /big { alias html/big; }\n",
);
my $nginx = $node->nginx;
my @pids  = $nginx->workers;
spew($nginx->folder . '/html/text', "a text\n");
spew($nginx->folder . '/html/big',  'b' x 2_000_000);

sub request {
    my (%o) = @_;
    my %headers = (
        Host => 'localhost', Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version' => 13, Authorization => "Bearer $ticket", %{ $o{headers} // {} },
    );
    return join('', $o{method} // 'GET', ' ', $o{path} // '/ws', ' HTTP/', $o{http} // '1.1', "\r\n",
        map { defined $headers{$_} ? "$_: $headers{$_}\r\n" : () } sort keys %headers) . "\r\n" . ($o{body} // '');
}
my $ping = Weft::Client::frame_bytes(text => '{"type":"ping","id":"p"}');

# Reads a head from what has come: (status, head).
sub head {
    my ($client) = @_;
    $client->_read_until(sub { $client->{in} =~ /\r\n\r\n/ }, 'an answer');
    $client->{in} =~ s{^(HTTP/1\.1 (\d+) .*?\r\n\r\n)}{}s or die "no answer: '$client->{in}'\n";
    return ($2, $1);
}
sub greeted {
    my ($client, $what) = @_;
    is((head($client))[0], 101, "$what: upgraded");
    is($client->next_message->{type}, 'connection_established', 'greeted');
    return;
}
sub dial { return Weft::Client->dial(port => $_[0] // $node->port) }
sub no_one_left {
    my $status;
    ok(wait_for { ($status = $node->status)->{connections}{active} == 0 }, 'nobody is left') or diag(explain($status));
    is_deeply([ $nginx->workers ], \@pids, 'the worker is the same');
    return;
}

# ---- the log ----

check 'one line in the access log, at the hand-over, with the bytes of the handshake' => sub {
    my $client = dial();
    my $bytes  = request(headers => { Mark => 'log' });
    $client->raw_send($bytes);
    my ($status, $head) = head($client);
    is($status, 101, 'upgraded');
    my ($line, @more) = $nginx->access_lines(qr/^log\|/);
    my @field = split /\|/, $line // '';
    is($field[1], 101,           'status 101, while the connection is open');
    is($field[2], length $head,  'bytes sent: the head of the answer');
    is($field[3], 0,             'no body');
    is($field[4], length $bytes, 'bytes received: the head of the request');
    is($client->next_message->{type}, 'connection_established', 'greeted');
    is($client->call('ping')->{type}, 'pong', 'served');
    $client->leave;
    no_one_left();
    is(scalar $nginx->access_lines(qr/^log\|/), 1, 'and the end adds none');
};
check 'a refused handshake is one line, too' => sub {
    for ([ 400, Upgrade => undef ], [ 426, 'Sec-WebSocket-Version' => 7 ], [ 403, Origin => 'https://x.test' ]) {
        my ($status, $name, $value) = @$_;
        my $answer = $nginx->exchange(request(headers => { Mark => "refused$status", $name => $value }));
        is($answer->{status}, $status, "status $status");
        my ($line, @more) = $nginx->access_lines(qr/^refused$status\|/);
        like($line, qr/^refused$status\|$status\|/, 'logged');
        is(scalar @more, 0, 'once');
    }
};

# ---- keep-alive ----

check 'a second and a third request of a connection: file, status, then the upgrade' => sub {
    my $client = dial();
    for (1 .. 3) {
        $client->raw_send("GET /text HTTP/1.1\r\nHost: x\r\n\r\n");
        is((head($client))[0], 200, 'a file');
        $client->_read_until(sub { $client->{in} =~ s/^a text\n// }, 'its bytes');
    }
    $client->raw_send("GET /status HTTP/1.1\r\nHost: x\r\n\r\n");
    is((head($client))[0], 200, 'the status');
    $client->_read_until(sub { $client->{in} =~ s/^\{.*\}\s*$//s }, 'its bytes');
    $client->raw_send(request(headers => { Mark => 'fifth' }));
    greeted($client, 'the fifth request');
    is($client->call('ping')->{type}, 'pong', 'served');
    my ($line) = $nginx->access_lines(qr/^fifth\|/);
    is((split /\|/, $line)[6], 5, 'the log says that it is the fifth');
};
check 'requests, the upgrade and frames in one packet' => sub {
    my $client = dial();
    my $get    = "GET /text HTTP/1.1\r\nHost: x\r\n\r\n";
    my $post   = "POST /publish/chat:pipe HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1";
    $client->raw_send($get . $post . $get . request() . $ping . $ping);
    is((head($client))[0], 200, 'the file');
    $client->_read_until(sub { $client->{in} =~ s/^a text\n// }, 'its bytes');
    is((head($client))[0], 202, 'the publication');
    $client->_read_until(sub { $client->{in} =~ s/^\{[^}]*\}\s*// }, 'its answer');
    is((head($client))[0], 200, 'the file again');
    $client->_read_until(sub { $client->{in} =~ s/^a text\n// }, 'its bytes');
    greeted($client, 'then');
    is($client->next_message->{id}, 'p', 'both frames are answered') for 1, 2;
};
check 'the upgrade behind a file that the client has not read yet' => sub {
    my $client = Weft::Client->dial(port => $node->port, receive_buffer => 4096);
    $client->raw_send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n" . request() . $ping);
    is((head($client))[0], 200, 'the file');
    $client->_read_until(sub { length $client->{in} >= 2_000_000 }, 'its bytes');
    substr($client->{in}, 0, 2_000_000) = '';
    greeted($client, 'then');
    is($client->next_message->{id}, 'p', 'and served');
};
check 'a refused upgrade, and another try on a connection of its own' => sub {
    my $client = dial();
    $client->raw_send(request(headers => { 'Sec-WebSocket-Version' => 8 }) . request());
    my ($status, $head) = head($client);
    is($status, 426, 'refused');
    like($head, qr/^Connection: close\r$/mi, 'and closed');
    unlike($client->read_all, qr/ 101 /, 'so nothing behind it is heard');
};

# ---- bodies, methods, versions ----

my @odd = (
    # what, request, status
    [ 'HTTP/1.0',                           { http => '1.0' },                                                         400 ],
    [ 'HTTP/1.0 with keep-alive',           { http => '1.0', headers => { Connection => 'keep-alive, Upgrade' } },     400 ],
    [ 'HTTP/1.2',                           { http => '1.2' },                                                         101 ],
    [ 'HEAD',                               { method => 'HEAD' },                                                      405 ],
    [ 'OPTIONS',                            { method => 'OPTIONS' },                                                   405 ],
    [ 'a method that nobody knows',         { method => 'UPGRADE' },                                                   405 ],
    [ 'a body of no length',                { headers => { 'Content-Length' => 0 } },                                  101 ],
    [ 'a body',                             { headers => { 'Content-Length' => 5 }, body => 'hello' },                 400 ],
    [ 'a body that does not come',          { headers => { 'Content-Length' => 500_000 } },                            400 ],
    [ 'a body in chunks',                   { headers => { 'Transfer-Encoding' => 'chunked' }, body => "5\r\nhello\r\n0\r\n\r\n" }, 400 ],
    [ 'an empty body in chunks',            { headers => { 'Transfer-Encoding' => 'chunked' }, body => "0\r\n\r\n" },  400 ],
    [ 'a body larger than allowed',         { headers => { 'Content-Length' => 50_000_000 } },                         413 ],
    [ 'Expect: 100-continue and no body',   { headers => { Expect => '100-continue' } },                               101 ],
    [ 'Expect: 100-continue and a body',    { headers => { Expect => '100-continue', 'Content-Length' => 5 } },        400 ],
    [ 'another Expect',                     { headers => { Expect => 'wonders' } },                                    101 ],
    [ 'Range',                              { headers => { Range => 'bytes=0-10' } },                                  101 ],
    [ 'If-None-Match and If-Modified-Since', { headers => { 'If-None-Match' => '"x"', 'If-Modified-Since' => 'Sat, 01 Jan 2022 00:00:00 GMT' } }, 101 ],
    [ 'Accept-Encoding',                    { headers => { 'Accept-Encoding' => 'gzip, br' } },                        101 ],
    [ 'TE and trailers',                    { headers => { TE => 'trailers', Connection => 'Upgrade, TE' } },          101 ],
    [ 'a full URL in the request line',     { path => 'http://localhost/ws' },                                         101 ],
);
for (@odd) {
    my ($what, $request, $status) = @$_;
    check "$what is answered $status" => sub {
        my $client = dial();
        $client->raw_send(request(%$request) . ($status == 101 ? $ping : ''));
        my ($got, $head) = head($client);
        ($got, $head) = head($client) if $got == 100;    # nginx says it before it throws a body away
        is($got, $status, 'the status') or diag($head);
        unlike($head, qr/Sec-WebSocket-Accept/, 'no handshake') if $status != 101;
        if ($status == 101) {
            unlike($head, qr/^(?:Content-|Transfer-|Accept-Ranges|ETag|Last-Modified)/mi, 'nothing that belongs to a body');
            is($client->next_message->{type}, 'connection_established', 'greeted');
            is($client->next_message->{id},   'p',                      'served');
        }
        elsif ($request->{method} && $request->{method} eq 'HEAD') {
            is($client->read_all, '', 'no body');
        }
    };
}

# ---- what comes with the handshake, and how slowly ----

check 'a long message that begins in the packet of the handshake and ends later' => sub {
    for my $first (1, 2, 6, 100, 900, 5000) {
        my $client = dial();
        my $frame  = Weft::Client::frame_bytes(text => '{"type":"ping","id":"long"}' . ' ' x 30_000);
        $client->raw_send(request() . substr $frame, 0, $first);
        greeted($client, "$first bytes of it");
        $client->raw_send(substr $frame, $first);
        is($client->next_message->{id}, 'long', 'answered when it is whole');
    }
};
check 'a close in the packet of the handshake' => sub {
    my $client = dial();
    $client->raw_send(request() . Weft::Client::frame_bytes(close => pack 'n', 1000));
    is((head($client))[0], 101, 'upgraded');
    is($client->read_close(no_answer => 1)->{code}, 1000, 'and closed');
};
check 'something that is no frame in the packet of the handshake' => sub {
    my $client = dial();
    $client->raw_send(request() . "GET / HTTP/1.1\r\n\r\n");
    is((head($client))[0], 101, 'upgraded');
    is($client->read_close->{code}, 1002, 'and closed with 1002');
};
check 'a handshake that drips in byte by byte, and its first frame the same' => sub {
    for my $port ($node->port, $small) {
        my $client = dial($port);
        for my $byte (split //, request() . $ping) {
            $client->raw_send($byte);
            sleep 0.0005;
        }
        greeted($client, 'then');
        is($client->next_message->{id}, 'p', 'served');
    }
};
check 'heads that need the large buffers' => sub {
    for my $size (50, 200, 1000, 7000, 15_000) {
        my $client = dial($small);
        # Each line is at most one large buffer; four of them are there.
        $client->raw_send(request(headers => { Cookie => 'c=' . 'x' x $size, 'X-More' => 'y' x ($size / 2) }) . $ping x 3);
        greeted($client, "$size bytes of cookie");
        is($client->next_message->{id}, 'p', 'what is behind it is answered') for 1 .. 3;
        is($client->call('ping')->{type}, 'pong', 'and what comes later');
    }
    my $client = dial($small);
    $client->raw_send("GET /status HTTP/1.1\r\nHost: x\r\nCookie: " . 'z' x 9000 . "\r\n\r\n");
    is((head($client))[0], 200, 'a large head first');
    $client->_read_until(sub { $client->{in} =~ s/^\{.*\}\s*$//s }, 'its bytes');
    $client->raw_send(request(headers => { Cookie => 'c=' . 'x' x 9000 }) . $ping);
    greeted($client, 'another one on the same connection');
    is($client->next_message->{id}, 'p', 'served');
};
check 'a head that is too large for any buffer is refused by nginx' => sub {
    my $client = dial($small);
    $client->raw_send(request(headers => { Cookie => 'x' x 40_000 }));
    is((head($client))[0], 400, 'refused');
};

# ---- time ----

check 'client_header_timeout holds for a handshake that never ends, and for nothing after it' => sub {
    my $served = dial($timed);
    $served->raw_send(request());
    greeted($served, 'one that is done');
    my @slow    = map { dial($timed) } 1 .. 5;
    my $patient = dial($node->port);    # where the limit is a minute
    my $head    = substr(request(), 0, -2) . 'X-Drip: ';
    $_->raw_send($head) for @slow, $patient;
    # Drips do not help, however long they go on: a line that never ends, and stays shorter than a buffer.
    my $drips = 0;
    my $until = time + $Weft::Client::TIMEOUT;
    while ((grep { $_->is_open } @slow) && time < $until) {
        sleep 0.1;
        $_->raw_send('x') for grep { !$_->eof } @slow, $patient;
        $drips++;
    }
    is(scalar(grep { $_->eof } @slow), 5, 'the slow ones have seen the end') or diag("after $drips drips");
    is(join('', map { $_->{in} } @slow), '', 'without an answer');
    $patient->raw_send("\r\n\r\n");
    greeted($patient, "who has the time, with $drips drips,");
    $patient->leave;
    is($served->call('ping')->{type}, 'pong', 'who was upgraded long ago is there');
    my $kept = dial($timed);
    $kept->raw_send(request());
    greeted($kept, 'another');
    sleep 1.5;
    is($kept->call('ping')->{type}, 'pong', 'stays beyond the time for headers and keep-alive');
    $_->leave for $served, $kept;
    no_one_left();
};

$t->finish;
done_testing;
