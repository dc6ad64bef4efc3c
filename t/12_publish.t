# weft_publish: POST from back ends.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node(
    'a',
    workers => 2,
    server  => <<'SERVER' . "        client_max_body_size 200k;\n",
        location = /fixed   { weft_publish chat:fixed; }
        location = /arg     { weft_publish chat:$arg_room; }
        location = /small   { weft_publish chat:small; client_max_body_size 1k; }
        location = /huge    { weft_publish chat:huge; client_max_body_size 0; client_body_buffer_size 1m; }
        location = /denied  { weft_publish chat:denied; deny all; }
SERVER
    location => "weft_ticket key=$key; weft_rate off; weft_message_size 1m;",
);
my $nginx = $node->nginx;
my $ann   = $node->client;

sub post { my ($path, $body, %headers) = @_; return $nginx->request(POST => $path, content => $body, headers => \%headers) }

my $JSON = 'application/json';

check 'a body of JSON is published, and 202 says how' => sub {
    $ann->subscribe('chat:json');
    my $answer = post('/publish/chat:json', '{"price": 1.50}', 'Content-Type' => $JSON);
    is($answer->{status}, 202, 'accepted');
    like($answer->{headers}{'content-type'}, qr{^application/json}, 'the answer is JSON');
    like($answer->{json}{message_id}, qr/./, 'with the message id');
    like($answer->{json}{position}, qr/^[0-9a-z._]+$/, 'and the position');
    my $event = $ann->event;
    like($event->{raw}, qr/"data":\{"price": 1\.50\}/, 'the data arrives byte for byte');
    is($event->{message_id}, $answer->{json}{message_id}, 'with this message id');
    is($event->{position}, $answer->{json}{position}, 'and this position');
    ok(!exists $event->{publisher}, 'and no publisher');
};

my @bodies = (
    # what, content type, body, data as JSON text
    [ 'JSON with a charset',            'application/json; charset=utf-8',       '[1,2]',          '[1,2]' ],
    [ 'JSON in capitals',               'Application/JSON',                      '{"a":1}',        '{"a":1}' ],
    [ 'no content type',                undef,                                   'true',           'true' ],
    [ "what curl -d sends",             'application/x-www-form-urlencoded',     '{"curl":true}',  '{"curl":true}' ],
    [ 'a number',                       $JSON,                                   '1e400',          '1e400' ],
    [ 'a string',                       $JSON,                                   '"x"',            '"x"' ],
    [ 'null',                           $JSON,                                   'null',           'null' ],
    [ 'a plain text',                   'text/plain',                            'hello "you"',    '"hello \"you\""' ],
    [ 'a text with a line break',       'text/plain; charset=utf-8',             "a\nb\t\x01",     qr/^"a\\nb\\t\\u0001"$/ ],
    [ 'a text in UTF-8',                'text/plain',                            "\xe2\x82\xac",   qr/^"(?:\xe2\x82\xac|\\u20ac)"$/i ],
    [ 'a text that looks like JSON',    'text/html',                             '{"a":1}',        '"{\"a\":1}"' ],
    [ 'an empty text',                  'text/plain',                            '',               '""' ],
    [ 'bytes',                          'application/octet-stream',              "\0\xff\x80",     '"' . encode_base64("\0\xff\x80", '') . '"' ],
    [ 'an image',                       'image/png',                             "\x89PNG\r\n",    '"' . encode_base64("\x89PNG\r\n", '') . '"' ],
    [ 'bytes that need padding',        'application/octet-stream',              'ab',             '"YWI="' ],
);
for (@bodies) {
    my ($what, $type, $body, $data) = @$_;
    check "$what is published as it should be" => sub {
        $ann->subscribe('chat:types');
        my $length = length $body;
        my $answer = $nginx->exchange("POST /publish/chat:types HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                . (defined $type ? "Content-Type: $type\r\n" : '') . "Content-Length: $length\r\n\r\n$body");
        is($answer->{status}, 202, 'accepted') or diag($answer->{bytes});
        my ($sent) = $ann->event->{raw} =~ /"data":(.*?),"(?:position|message_id|timestamp)"/s;
        ref $data ? like($sent, $data, 'the data') : is($sent, $data, 'the data');
    };
}

my @bad = (
    [ 'no JSON',              $JSON,                               '{"a":',           4006 ],
    [ 'an empty body',        $JSON,                               '',                4006 ],
    [ 'two values',           $JSON,                               '1 2',             4006 ],
    [ 'a form',               'application/x-www-form-urlencoded', 'a=b&c=d',         4006 ],
    [ 'bad UTF-8 in JSON',    $JSON,                               "\"\xff\"",        4006 ],
    [ 'bad UTF-8 in a text',  'text/plain',                        "\xff\xfe",        4006 ],
    [ 'nested too deeply',    $JSON,                               '[' x 1000 . ']' x 1000, 4006 ],
);
for (@bad) {
    my ($what, $type, $body, $code) = @$_;
    check "$what is answered 400 with a JSON error" => sub {
        my $answer = post('/publish/chat:bad', $body, 'Content-Type' => $type);
        is($answer->{status}, 400, 'refused') or diag($answer->{content});
        like($answer->{headers}{'content-type'}, qr{^application/json}, 'as JSON');
        is($answer->{json}{code}, $code, "code $code");
        is($answer->{json}{reason}, 'invalid_message', 'invalid_message');
        like($answer->{json}{message}, qr/\w \w/, 'and a sentence');
    };
}

check 'a channel that no rule matches is answered 404' => sub {
    my $answer = post('/publish/nosuch:x', '1', 'Content-Type' => $JSON);
    is($answer->{status}, 404, 'not found');
    is($answer->{json}{code}, 4007, 'code 4007');
    is($answer->{json}{reason}, 'channel_not_found', 'channel_not_found');
};
check 'a name that is no channel is answered 400' => sub {
    for my $name ('chat:a%20b', 'chat:%00', 'chat:' . 'x' x 251, 'chat:*', 'chat:%C3%BC') {
        my $answer = post("/publish/$name", '1', 'Content-Type' => $JSON);
        is($answer->{status}, 400, substr $name, 0, 20) or diag("$answer->{status} $answer->{content}");
        # nginx itself refuses a NUL, in its own words.
        is($answer->{json}{code}, 4006, 'code 4006') if $answer->{json};
    }
    is(post('/arg', '1', 'Content-Type' => $JSON)->{status}, 202, 'while "chat:" with nothing behind it is one');
};
check 'another method is answered 405 with Allow' => sub {
    for my $method (qw(GET PUT DELETE)) {
        my $answer = $nginx->request($method => '/publish/chat:x');
        is($answer->{status}, 405, $method);
        is($answer->{headers}{allow}, 'POST', 'Allow: POST');
    }
};
check 'a body that is too large is answered 413' => sub {
    is(post('/small', '"' . 'x' x 2000 . '"', 'Content-Type' => $JSON)->{status}, 413, 'beyond client_max_body_size');
    is(post('/small', '"' . 'x' x 1000 . '"', 'Content-Type' => $JSON)->{status}, 202, 'and within');
};
check 'a body that the link to weftd cannot carry is answered 413, and the link stays' => sub {
    is(post('/huge', '"' . 'x' x (20 << 20) . '"', 'Content-Type' => $JSON)->{status}, 413, 'twenty megabytes');
    is(post('/publish/chat:after', '1', 'Content-Type' => $JSON)->{status}, 202, 'the next one is accepted');
    unlike($nginx->error_log, qr/link to weftd is down/, 'over the same link');
};
check 'a body larger than the buffers is published whole' => sub {
    # 100 kB is more than client_body_buffer_size: nginx puts it into a file.
    $ann->subscribe('chat:big');
    my $text   = join '', map { chr(97 + $_ % 26) } 1 .. 60_000;
    my $answer = post('/publish/chat:big', "\"$text\"", 'Content-Type' => $JSON);
    is($answer->{status}, 202, 'accepted') or diag($answer->{content});
    ok($ann->event->{data} eq $text, 'all of it');
};
check 'a body in chunks, bit by bit, is published whole' => sub {
    $ann->subscribe('chat:chunks');
    my $client = Weft::Client->dial(port => $node->port);
    $client->raw_send("POST /publish/chat:chunks HTTP/1.1\r\nHost: x\r\nContent-Type: $JSON\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    for my $piece ('{"a"', ':[1', ',2]', '}') { $client->raw_send(sprintf "%x\r\n%s\r\n", length $piece, $piece) }
    $client->raw_send("0\r\n\r\n");
    like($client->read_all, qr{^HTTP/1\.1 202 }, 'accepted');
    like($ann->event->{raw}, qr/"data":\{"a":\[1,2\]\}/, 'put together');
};
check 'the channel may come from a variable, or stand fixed' => sub {
    $ann->subscribe($_) for qw(chat:fixed chat:blue);
    is(post('/fixed', '1', 'Content-Type' => $JSON)->{status}, 202, 'fixed');
    is($ann->event->{channel}, 'chat:fixed', 'arrives');
    is(post('/arg?room=blue', '2', 'Content-Type' => $JSON)->{status}, 202, 'from an argument');
    is($ann->event->{channel}, 'chat:blue', 'arrives');
};
check "nginx's own access rules hold before it" => sub {
    is(post('/denied', '1', 'Content-Type' => $JSON)->{status}, 403, 'deny all');
};
check 'a connection can be kept alive over many publishes' => sub {
    $ann->subscribe('chat:alive');
    my $client = Weft::Client->dial(port => $node->port);
    $client->raw_send(join '', map { "POST /publish/chat:alive HTTP/1.1\r\nHost: x\r\nContent-Type: $JSON\r\nContent-Length: 3\r\n\r\n" . (100 + $_) } 1 .. 100);
    my @got = map { $ann->event->{data} } 1 .. 100;
    is_deeply(\@got, [ 101 .. 200 ], 'a hundred in one pipe, in order');
    my $accepted = 0;
    ok(wait_for { $client->_fill(0.1); $accepted = () = $client->{in} =~ m{^HTTP/1\.1 202 }mg; $accepted == 100 }, 'each is answered 202');
};
check 'publishes over different workers arrive' => sub {
    my ($one, $two) = $node->client_per_worker;
    $_->subscribe('chat:workers') for $one, $two;
    is(post('/publish/chat:workers', $_, 'Content-Type' => $JSON)->{status}, 202, "number $_") for 1 .. 20;
    for my $client ($one, $two) {
        my @got = map { $client->event->{data} } 1 .. 20;
        is_deeply([ sort { $a <=> $b } @got ], [ 1 .. 20 ], 'all of them');
    }
};
check 'curl publishes' => sub {
    plan skip_all => 'no curl' unless grep { -x "$_/curl" } split /:/, $ENV{PATH};
    $ann->subscribe('chat:curl');
    my $port   = $node->port;
    my $answer = qx{curl -sS -w '%{http_code}' -d '{"text":"hi"}' http://127.0.0.1:$port/publish/chat:curl};
    like($answer, qr/^\{.*"message_id".*\}\s*202$/s, 'answered 202');
    is($ann->event->{data}{text}, 'hi', 'delivered');
};
check 'a client that goes away while its publish is on the way harms nobody' => sub {
    $node->weftd->signal('STOP');
    my @clients = map { Weft::Client->dial(port => $node->port) } 1 .. 20;
    $_->raw_send("POST /publish/chat:gone HTTP/1.1\r\nHost: x\r\nContent-Type: $JSON\r\nContent-Length: 1\r\n\r\n1") for @clients;
    $clients[$_]->hang_up(reset => $_ % 2) for 0 .. $#clients;
    $node->weftd->signal('CONT');
    ok(wait_for { post('/publish/chat:gone', '1', 'Content-Type' => $JSON)->{status} == 202 }, 'served on');
};
check 'with the broker away it is 503 with Retry-After' => sub {
    $node->weftd->crash;
    ok(wait_for { post('/publish/chat:x', '1', 'Content-Type' => $JSON)->{status} == 503 }, 'once that is noticed');
    my $answer;
    # Both workers must have noticed; which one answers is up to the kernel.
    wait_for { $answer = post('/publish/chat:x', '1', 'Content-Type' => $JSON); $answer->{headers}{'retry-after'} };
    is($answer->{status}, 503, 'again');
    like($answer->{headers}{'retry-after'} // '', qr/^\d+$/, 'Retry-After');
    is($answer->{json}{code}, 4017, 'code 4017');
    $node->weftd->start;
    ok(wait_for { post('/publish/chat:x', '1', 'Content-Type' => $JSON)->{status} == 202 }, '202 once it is back');
};

$t->finish;
done_testing;
