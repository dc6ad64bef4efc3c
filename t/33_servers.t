# Several server blocks and locations, each with settings of its own.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;
use Weft::Ticket;

my $t     = Weft::Test->new;
my $port  = $t->port;
my %key   = map { $_ => "a key of the server named $_, only for it" } qw(one two);
my %file  = map { $_ => spew($t->prefix . "/$_.key", "$key{$_}\n") } sort keys %key;
my $node  = $t->node(
    'a',
    workers => 2,
    listen  => ["127.0.0.1:$port"],
    http    => <<"HTTP",
    weft_drain 1s;
    weft_reload drain;
    weft_rate off;
    weft_message_size 4k;
    weft_heartbeat 40s timeout=5s;
    server {
        listen 127.0.0.1:$port;
        server_name one.test;
        weft_ticket key=$file{one};
        weft_origin https://one.test http://one.test;
        location /ws     { weft_websocket; }
        location /small  { weft_websocket; weft_message_size 1k; weft_rate 1r/s burst=3; weft_heartbeat 50s; }
        location /nested { weft_origin https://nested.test; location /nested/ws { weft_websocket; } }
        location = /publish { weft_publish chat:one; }
    }
    server {
        listen 127.0.0.1:$port;
        server_name two.test *.two.test;
        weft_ticket key=$file{two};
        weft_origin https://two.test http://two.test;
        weft_message_size 16k;
        location /ws    { weft_websocket; }
        location /other { weft_websocket; weft_ticket key=$file{one}; }
        location = /publish { weft_publish chat:two; }
    }
    server {
        listen 127.0.0.1:$port;
        server_name three.test;
        location / { return 404; }
    }
HTTP
);

sub join_at {
    my ($host, $path, $key, %more) = @_;
    return Weft::Client->join(port => $port, authority => $host, path => $path,
        ticket => Weft::Ticket::ticket($key), %more);
}

# The code that a client with this key is turned away with, 0 when it isn't, or HTTP's status. (Weft::Client->open would
# add an Origin of its own.)
sub refusal {
    my ($host, $path, $key, $origin) = @_;
    my $client = Weft::Client->dial(port => $port);
    $client->raw_send("GET $path HTTP/1.1\r\nHost: $host\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            . ($origin ? "Origin: $origin\r\n" : '')
            . 'Authorization: Bearer ' . Weft::Ticket::ticket($key) . "\r\n\r\n");
    $client->_read_until(sub { $client->{in} =~ /\r\n\r\n/ }, 'an answer');
    $client->{in} =~ s{^HTTP/1\.1 (\d+) .*?\r\n\r\n}{}s or die "no answer: $client->{in}\n";
    return $1 if $1 != 101;
    my $frame = $client->next_frame;
    return 0 if $frame->{payload} =~ /connection_established/;
    return $client->read_close->{code};
}

my @who = (
    # host, path, whose key, origin, refused with
    [ 'one.test',      '/ws',        'one', undef,                 0 ],
    [ 'one.test',      '/ws',        'two', undef,                 4002 ],
    [ 'two.test',      '/ws',        'two', undef,                 0 ],
    [ 'two.test',      '/ws',        'one', undef,                 4002 ],
    [ 'any.two.test',  '/ws',        'two', undef,                 0 ],
    [ 'ONE.TEST:8080', '/ws',        'one', undef,                 0 ],
    [ 'two.test',      '/other',     'one', undef,                 0 ],
    [ 'two.test',      '/other',     'two', undef,                 4002 ],
    [ 'one.test',      '/other',     'one', undef,                 404 ],
    [ 'three.test',    '/ws',        'one', undef,                 404 ],
    [ 'one.test',      '/ws',        'one', 'https://one.test',    0 ],
    [ 'one.test',      '/ws',        'one', 'https://two.test',    403 ],
    [ 'two.test',      '/ws',        'two', 'https://one.test',    403 ],
    [ 'one.test',      '/nested/ws', 'one', 'https://nested.test', 0 ],
    [ 'one.test',      '/nested/ws', 'one', 'https://one.test',    403 ],
);
check 'each server has its own keys and origins' => sub {
    for (@who) {
        my ($host, $path, $key, $origin, $code) = @$_;
        is(refusal($host, $path, $key{$key}, $origin), $code,
            "$host$path with the key of $key" . ($origin ? " from $origin" : '') . ": $code");
    }
};

check 'the first server of the address is for all other names' => sub {
    is(refusal('nobody.test', '/ws', $key{one}), 0,    'its key is taken');
    is(refusal('nobody.test', '/ws', $key{two}), 4002, "another's isn't");
    is(refusal('nobody.test', '/ws', $key{one}, 'https://two.test'), 403, 'its origins hold');
};

check 'what a location doesn\'t say comes from its server, then from http' => sub {
    my $at = sub {
        my ($host, $path, $key, $size) = @_;
        my $client = join_at($host, $path, $key{$key});
        $client->send_text('{"type":"ping"}' . ' ' x ($size - 15));
        is($client->next_message->{type}, 'pong', "$host$path takes $size bytes");
        $client->send_text('{"type":"ping"}' . ' ' x ($size - 14));
        is($client->read_close->{code}, 1009, 'and no more');
    };
    $at->('one.test', '/ws',    'one', 4096);
    $at->('one.test', '/small', 'one', 1024);
    $at->('two.test', '/ws',    'two', 16_384);
    is(join_at('one.test', '/ws',    $key{one})->greeting->{heartbeat_ms}, 40_000, 'heartbeat from http');
    is(join_at('one.test', '/small', $key{one})->greeting->{heartbeat_ms}, 50_000, 'heartbeat of the location');
};

check 'a connection keeps the settings of its location among others of the same worker' => sub {
    my @free   = map { join_at('one.test', '/ws',    $key{one}) } 1 .. 4;
    my @strict = map { join_at('one.test', '/small', $key{one}) } 1 .. 4;
    for my $i (0 .. 3) {
        is(scalar(grep { $free[$i]->call('ping')->{type} eq 'pong' } 1 .. 20), 20, 'no limit here');
        my @answers = map { $strict[$i]->call('ping') } 1 .. 20;
        cmp_ok(scalar(grep { ($_->{payload}{code} // 0) == 4004 } @answers), '>', 5, 'a limit there');
    }
};

check 'channels are the same in all servers' => sub {
    my ($one, $two) = (join_at('one.test', '/ws', $key{one}), join_at('two.test', '/ws', $key{two}));
    $_->subscribe('chat:one') for $one, $two;
    $two->must('publish', channel => 'chat:one', data => 'from two');
    is($_->event->{data}, 'from two', 'a frame arrives') for $one, $two;
    my $post = sub {
        my ($host) = @_;
        return Weft::Test::Nginx::exchange({ port => $port }, "POST /publish HTTP/1.1\r\nHost: $host\r\nContent-Length: 1\r\n\r\n1")->{status};
    };
    is($post->('one.test'), 202, 'a POST is accepted');
    is($_->event->{data}, 1, 'and arrives') for $one, $two;
};

check 'a reload that changes a key holds for newcomers only' => sub {
    my $before = join_at('two.test', '/ws', $key{two});
    my $new    = 'another key for two, since yesterday';
    spew($file{two}, "$new\n");
    my @old = $node->nginx->reload;
    is(refusal('two.test', '/ws', $key{two}), 4002, 'the old key is not taken');
    is(refusal('two.test', '/ws', $new), 0, 'the new one is');
    is($before->read_close->{code}, 1012, 'who was there is sent away like everybody');
    ok($node->nginx->wait_gone(@old), 'the old workers are gone');
};

$t->finish;
done_testing;
