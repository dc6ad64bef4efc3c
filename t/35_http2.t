# HTTP/2 listeners: WebSocket over HTTP/1.1 beside it, weft_status and weft_publish over it.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Weft::Http2 qw(frame field h2_client frames_until);
use Weft::Test;

plan skip_all => 'no curl that speaks HTTP/2' unless qx{curl --version 2>/dev/null} =~ /\bHTTP2\b/;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $cert = $t->prefix . '/cert.pem';
my $pkey = $t->prefix . '/cert.key';
my $made = system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        . " -addext subjectAltName=DNS:localhost -keyout '$pkey' -out '$cert' 2>/dev/null");
plan skip_all => 'no openssl to make a certificate with' if $made;

my ($tls, $plain) = ($t->port, $t->port);
my $node = $t->node(
    'a',
    workers  => 2,
    listen   => [ "127.0.0.1:$tls ssl http2", "127.0.0.1:$plain http2" ],
    server   => "        ssl_certificate $cert;\n        ssl_certificate_key $pkey;\n",
    http     => "    weft_drain 1s;\n    weft_reload drain;\n",
    location => "weft_ticket key=$key; weft_rate off;",
);
my $ann = $node->client;
$ann->subscribe('chat:two');

# curl over HTTP/2: {status, version, body, headers}.
sub curl {
    my ($url, @options) = @_;
    my $headers = $t->prefix . '/headers';
    open my $pipe, '-|', 'curl', '-sS', '--max-time', $Weft::Client::TIMEOUT, '--resolve', "localhost:$tls:127.0.0.1",
        '--cacert', $cert, '-D', $headers, '-w', "\n%{http_code} %{http_version}", @options, $url or die "curl: $!\n";
    my $output = do { local $/; <$pipe> };
    close $pipe;
    my ($body, $status, $version) = $output =~ /^(.*)\n(\d+) (\S+)$/s;
    return { status => $status, version => $version, body => $body, headers => slurp($headers) };
}

my %at = (
    'over TLS'         => [ "https://localhost:$tls",   '--http2' ],
    'by prior knowledge' => [ "http://127.0.0.1:$plain", '--http2-prior-knowledge' ],
);
for my $how (sort keys %at) {
    my ($base, @options) = @{ $at{$how} };
    check "weft_status is had $how" => sub {
        my $answer = curl("$base/status", @options);
        is($answer->{version}, 2,   'HTTP/2');
        is($answer->{status},  200, 'status 200');
        is(JSON::PP->new->decode($answer->{body})->{workers}, 2, 'and the body is whole');
        my $head = curl("$base/status", @options, '--head');
        is($head->{status}, 200, 'HEAD, too');
    };
    check "weft_publish takes a POST $how" => sub {
        my $answer = curl("$base/publish/chat:two", @options, '-d', '{"by":2}');
        is($answer->{version}, 2,   'HTTP/2');
        is($answer->{status},  202, 'accepted');
        like($answer->{body}, qr/"message_id"/, 'with the message id');
        is($ann->event->{data}{by}, 2, 'delivered');
        my $large = spew($t->prefix . '/large.json', '"' . join('', map { chr(97 + $_ % 26) } 1 .. 200_000) . '"');
        is(curl("$base/publish/chat:two", @options, '--data-binary', "\@$large", '-H', 'Content-Type: application/json')->{status}, 202, 'a large one, too');
        is(length $ann->event->{data}, 200_000, 'delivered whole');
        is(curl("$base/publish/nosuch:x", @options, '-d', '1')->{status}, 404, 'an error is an error');
        is(curl("$base/publish/chat:two", @options)->{status}, 405, 'a GET is refused');
    };
    check "a WebSocket handshake $how is told what is wrong" => sub {
        my $accepted = $node->status->{connections}{accepted};
        for my $more ([], [ '-H', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', '-H', 'Sec-WebSocket-Version: 13' ]) {
            my $answer = curl("$base/ws", @options, @$more);
            is($answer->{status}, 400, 'status 400');
            like($answer->{body}, qr{WebSocket.*HTTP/1\.1.*HTTP/2}, 'and a sentence that names both protocols');
        }
        is($node->status->{connections}{accepted}, $accepted, 'nobody is connected');
    };
}

check 'many requests at once on one connection over TLS' => sub {
    my $config = spew($t->prefix . '/config', join "next\n", map {
        my ($path, $data) = $_ % 2 ? ('status', '') : ('publish/chat:many', "data = \"$_\"\n");
        qq(url = "https://localhost:$tls/$path"\nsilent\n${data}http2\ncacert = "$cert"\n)
            . qq(resolve = "localhost:$tls:127.0.0.1"\noutput = /dev/null\nwrite-out = "%{http_code} %{http_version}\\n"\n)
    } 1 .. 40);
    my @lines = split /\n/, qx{curl --parallel --parallel-max 20 -K '$config' 2>&1};
    is(scalar(grep { /^200 2/ } @lines), 20, 'twenty GETs') or diag(@lines);
    is(scalar(grep { /^202 2/ } @lines), 20, 'and twenty POSTs');
};

check 'wss: works on the same port where ALPN offers HTTP/1.1, or nothing' => sub {
    for my $alpn (undef, 'http/1.1') {
        my $bob = Weft::Client->join(port => $tls, tls => 1, ca => $cert, ticket => $t->ticket, alpn => $alpn);
        $bob->subscribe('chat:alpn');
        my $text = 'w' x 50_000;
        $bob->must('publish', channel => 'chat:alpn', data => $text);
        is($bob->event->{data}, $text, ($alpn // 'no ALPN') . ': served');
        is(curl("https://localhost:$tls/publish/chat:alpn", '--http2', '-d', '"beside"')->{status}, 202, 'a publication over HTTP/2');
        is($bob->event->{data}, 'beside', 'arrives');
        is($bob->leave->{code}, 1000, 'closed in order');
    }
    my $other = curl("https://localhost:$tls/status", '--http1.1');
    is("$other->{version} $other->{status}", '1.1 200', 'HTTP/1.1 works for all else, too');
};

# nginx takes HTTP/2 whenever it is offered, whatever else is.
check 'wss: where ALPN offers HTTP/2, a handshake of HTTP/1.1 ends, and HTTP/2 is spoken' => sub {
    my $before = $node->status->{connections};
    for my $alpn ('h2', 'h2,http/1.1', 'http/1.1,h2') {
        my @to  = (port => $tls, tls => 1, ca => $cert, alpn => $alpn);
        my $bob = Weft::Client->dial(@to);
        $bob->raw_send(join "\r\n", 'GET /ws HTTP/1.1', 'Host: localhost', 'Upgrade: websocket', 'Connection: Upgrade',
            'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13', 'Authorization: Bearer ' . $t->ticket, '', '');
        my $all = $bob->read_all;
        unlike($all, qr{HTTP/1}, "$alpn: no answer of HTTP/1.1, and the end");
        is(ord(substr $all, 3, 1), 4, 'but the settings of HTTP/2') if length $all;
        my $client = h2_client(@to);
        $client->raw_send(frame(1, 0x5, 1, join '', field(':method', 'GET'), field(':scheme', 'https'), field(':path', '/status'), field(':authority', 'localhost')));
        my ($answer) = grep { $_->[2] == 1 } frames_until($client, sub { $_[0][2] == 1 });
        is($answer->[0], 1, 'a request of HTTP/2 is answered');
        $client->hang_up;
    }
    is($node->status->{connections}{$_}, $before->{$_}, "nobody is $_") for qw(accepted active);
};

check 'extended CONNECT (RFC 8441), which nginx does not speak, ends with an error for that stream alone' => sub {
    my $client   = h2_client(port => $plain);
    my $accepted = $node->status->{connections}{accepted};
    my @settings = frames_until($client, sub { $_[0][0] == 4 && !($_[0][1] & 1) });
    unlike($settings[-1][3], qr/^(?:.{6})*\0\x08\0\0\0\x01/s, 'it is not offered');
    $client->raw_send(frame(1, 0x5, 1, join '', field(':method', 'CONNECT'), field(':protocol', 'websocket'), field(':scheme', 'http'),
        field(':path', '/ws'), field(':authority', 'localhost'), field('sec-websocket-version', '13')));
    my ($answer) = grep { $_->[2] == 1 } frames_until($client, sub { $_[0][2] == 1 });
    ok($answer->[0] == 3 || $answer->[0] == 1, 'a reset of the stream, or an answer');
    isnt($answer->[3], "\x88", 'that is not 200') if $answer->[0] == 1;
    $client->raw_send(frame(1, 0x5, 3, join '', field(':method', 'GET'), field(':scheme', 'http'), field(':path', '/status'), field(':authority', 'localhost')));
    my ($second) = grep { $_->[2] == 3 } frames_until($client, sub { $_[0][2] == 3 });
    is($second->[0], 1, 'the next stream is answered');
    is($node->status->{connections}{accepted}, $accepted, 'nobody is connected');
};

check 'publications on forty streams at once of one connection are all answered' => sub {
    my $client = h2_client(port => $plain);
    $ann->subscribe('chat:streams');
    my @streams = map { 2 * $_ + 1 } 0 .. 39;
    my $request = sub {
        my ($stream) = @_;
        return frame(1, 0x4, $stream, join '', field(':method', 'POST'), field(':scheme', 'http'), field(':path', '/publish/chat:streams'),
            field(':authority', 'localhost'), field('content-length', length $stream)) . frame(0, 0x1, $stream, $stream);
    };
    $client->raw_send(join '', map { $request->($_) } @streams);
    my @got = map { $ann->event->{data} } @streams;
    is_deeply([ sort { $a <=> $b } @got ], \@streams, 'all are delivered');
    my %ended;
    frames_until($client, sub { $ended{ $_[0][2] } = 1 if $_[0][2] && $_[0][0] < 2 && $_[0][1] & 1; keys %ended == @streams });
    is(scalar keys %ended, 40, 'every stream is answered to its end');
};

check 'streams that are reset while their publication is on the way harm nobody' => sub {
    my @pids    = sort $node->nginx->workers;
    my @clients = map { h2_client(port => $plain) } 1 .. 4;
    $node->weftd->signal('STOP');
    for my $client (@clients) {
        for my $stream (1, 3, 5, 7, 9) {
            $client->raw_send(
                frame(1, 0x4, $stream, join '', field(':method', 'POST'), field(':scheme', 'http'), field(':path', '/publish/chat:reset'),
                    field(':authority', 'localhost'), field('content-length', '1')) . frame(0, 0x1, $stream, '1'));
            $client->raw_send(frame(3, 0, $stream, pack 'N', 8)) if $stream < 7;    # RST_STREAM, CANCEL
        }
    }
    $clients[0]->hang_up(reset => 1);
    $clients[1]->hang_up;
    is($node->status->{workers}, 2, 'the workers answer meanwhile');
    $node->weftd->signal('CONT');
    for my $client (@clients[ 2, 3 ]) {
        my %seen;
        my @frames = frames_until($client, sub { $seen{ $_[0][2] } = 1 if $_[0][0] == 1; $seen{7} && $seen{9} });
        my ($answer) = grep { $_->[0] == 1 && $_->[2] == 9 } @frames;
        ok($answer, 'what was not reset is answered');
    }
    is_deeply([ sort $node->nginx->workers ], \@pids, 'the workers are the same');
    # On a slow machine weftd may have been taken for gone meanwhile.
    ok(wait_for { $node->publish('chat:two', 1)->{status} == 202 }, 'and serve');
};

$t->finish;
done_testing;
