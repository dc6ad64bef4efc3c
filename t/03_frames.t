# RFC 6455 over the wire: what a client may send, and how what it may not ends the connection.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node('a', location => "weft_ticket key=$key; weft_message_size 4k; weft_rate off;");

*frame = \&Weft::Client::frame_bytes;

my $ping = '{"type":"ping","id":"p"}';

# ---- violations ------------------------------------------------------------------------------------------------------

my @violations = (
    # §5.1, §5.2
    [ 'an unmasked text frame',                  1002 => frame(text => $ping, mask => 0) ],
    [ 'an unmasked ping',                        1002 => frame(ping => '', mask => 0) ],
    [ 'reserved bit 1',                          1002 => frame(text => $ping, rsv => 4) ],
    [ 'reserved bit 2',                          1002 => frame(text => $ping, rsv => 2) ],
    [ 'reserved bit 3',                          1002 => frame(text => $ping, rsv => 1) ],
    [ 'a reserved bit on a ping',                1002 => frame(ping => '', rsv => 4) ],
    (map { [ "opcode $_", 1002 => frame($_, 'x') ] } 3 .. 7, 11 .. 15),
    [ 'a 16-bit length for 5 bytes',             1002 => frame(text => 'short', length_bytes => 2) ],
    [ 'a 64-bit length for 200 bytes',           1002 => frame(text => 'x' x 200, length_bytes => 8) ],
    [ 'a length with the highest bit set',       1002 => frame(text => 'x', length => 1 << 63, length_bytes => 8) ],
    # §5.4
    [ 'a continuation of nothing',               1002 => frame(continuation => 'x') ],
    [ 'a text frame within a fragmented text',   1002 => frame(text => '{', fin => 0) . frame(text => '}') ],
    [ 'a continuation after the final fragment', 1002 => frame(text => '{"type":', fin => 0) . frame(continuation => '"ping"}') . frame(continuation => 'x') ],
    # §5.5
    [ 'a fragmented ping',                       1002 => frame(ping => 'x', fin => 0) ],
    [ 'a fragmented close',                      1002 => frame(close => '', fin => 0) ],
    [ 'a ping of 126 bytes',                     1002 => frame(ping => 'x' x 126) ],
    [ 'a close of 126 bytes',                    1002 => frame(close => pack('n', 1000) . 'x' x 124) ],
    [ 'a close with one byte',                   1002 => frame(close => 'x') ],
    (map { [ "the close code $_", 1002 => frame(close => pack 'n', $_) ] }
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535),
    # §5.6, §8.1
    [ 'a binary frame',                          1003 => frame(binary => $ping) ],
    [ 'a fragmented binary message',             1003 => frame(binary => 'x', fin => 0) . frame(continuation => 'y') ],
    [ 'a lone continuation byte',                1007 => frame(text => "{\"type\":\"\x80\"}") ],
    [ 'an overlong slash',                       1007 => frame(text => "\"\xc0\xaf\"") ],
    [ 'an overlong NUL',                         1007 => frame(text => "\"\xe0\x80\x80\"") ],
    [ 'a surrogate',                             1007 => frame(text => "\"\xed\xa0\x80\"") ],
    [ 'a character beyond U+10FFFF',             1007 => frame(text => "\"\xf4\x90\x80\x80\"") ],
    [ 'the byte FF',                             1007 => frame(text => "\xff") ],
    [ 'a text that ends within a character',     1007 => frame(text => "\"\xe2\x82") ],
    [ 'a character cut by the final fragment',   1007 => frame(text => "\"\xe2", fin => 0) . frame(continuation => '"') ],
    [ 'a close reason that is no UTF-8',         1007 => frame(close => pack('n', 1000) . "\xff\xfe") ],
    # sizes
    [ 'a message of a byte too many',            1009 => frame(text => 'x' x 4097) ],
    [ 'a header that announces 1 GiB',           1009 => frame(text => 'x', length => 1 << 30) ],
    [ 'a header that announces 2^62 bytes',      1009 => frame(text => 'x', length => 1 << 62) ],
    [ 'fragments that add up to too much',       1009 => frame(text => 'x' x 3000, fin => 0) . frame(continuation => 'x' x 1097) ],
    [ 'empty fragments and then too much',       1009 => frame(text => '', fin => 0) . frame(continuation => '', fin => 0) x 50 . frame(continuation => 'x' x 5000) ],
);
for (@violations) {
    my ($what, $code, $bytes) = @$_;
    check "$what closes with $code" => sub {
        my $client = $node->client;
        $client->raw_send($bytes);
        my $close = $client->read_close;
        ok($close->{clean}, 'a close frame comes');
        is($close->{code}, $code, 'the code');
        cmp_ok(length($close->{reason} // ''), '<=', 123, 'the reason fits');
        is($close->{eof}, 'end', 'then the connection ends in order');
    };
}

check 'bad UTF-8 is found before the message is whole' => sub {
    my $client = $node->client;
    $client->raw_send(substr frame(text => "\"\xc0" . 'x' x 1000), 0, 100);
    is($client->read_close->{code}, 1007, 'after the first hundred bytes');
};

check 'nothing is executed after a violation' => sub {
    my $watcher = $node->client;
    $watcher->subscribe('chat:after');
    my $client = $node->client;
    $client->raw_send(frame(text => 'x', rsv => 4)
            . frame(text => '{"type":"publish","payload":{"channel":"chat:after","data":1}}'));
    $client->read_close;
    $node->publish('chat:after', '"marker"');
    is($watcher->event->{data}, 'marker', 'only what came otherwise arrives');
};

# ---- what is allowed -------------------------------------------------------------------------------------------------

check 'a ping is answered with its payload' => sub {
    my $client = $node->client;
    for my $payload ('', 'x', "\0\xff\x80 bytes", 'y' x 125) {
        $client->raw_send(frame(ping => $payload));
        my $pong = $client->next_frame;
        is($pong->{opcode}, 10, 'a pong');
        is($pong->{payload}, $payload, 'with the ' . length($payload) . ' bytes');
    }
};

check 'an unasked pong is ignored' => sub {
    my $client = $node->client;
    $client->raw_send(frame(pong => 'unasked'));
    is($client->call('ping')->{type}, 'pong', 'the connection goes on');
};

check 'a text may come in fragments, with a ping in between' => sub {
    my $client = $node->client;
    $client->raw_send(frame(text => '{"type":"pi', fin => 0) . frame(ping => 'now') . frame(continuation => '', fin => 0)
            . frame(continuation => 'ng","id":"f', fin => 0) . frame(continuation => '1"}'));
    my $pong = $client->next_frame;
    is_deeply([ @$pong{qw(opcode payload)} ], [ 10, 'now' ], 'the ping is answered at once');
    is($client->expect('pong')->{id}, 'f1', 'the message was put together');
};

check 'a character may be cut by a fragment' => sub {
    my $client = $node->client;
    $client->subscribe('chat:euro');
    my $text = "{\"type\":\"publish\",\"payload\":{\"channel\":\"chat:euro\",\"data\":\"\xe2\x82\xac \xf0\x9f\x98\x80\"}}";
    my @bytes = split //, $text;
    my $last  = pop @bytes;
    my $first = shift @bytes;
    $client->raw_send(frame(text => $first, fin => 0));
    $client->raw_send(frame(continuation => $_, fin => 0)) for @bytes;
    $client->raw_send(frame(continuation => $last));
    like($client->event->{raw}, qr/"data":"\xe2\x82\xac \xf0\x9f\x98\x80"/, 'the text is whole');
};

check 'frames may come byte by byte' => sub {
    my $client = $node->client;
    $client->raw_send($_) for split //, frame(text => '{"type":"ping","id":"slow"}') . frame(ping => 'p') . frame(text => ' ' x 200 . $ping);
    is($client->expect('pong')->{id}, 'slow', 'the first message');
    is($client->expect('pong')->{id}, 'p',    'and the one after it');
};

check 'many frames may come at once' => sub {
    my $client = $node->client;
    $client->raw_send(join '', map { frame(text => "{\"type\":\"ping\",\"id\":\"n$_\"}") } 1 .. 2000);
    my @ids = map { $client->expect('pong')->{id} } 1 .. 2000;
    is_deeply(\@ids, [ map { "n$_" } 1 .. 2000 ], 'each is answered, in order');
};

check 'a message of exactly the allowed size is taken' => sub {
    my $client = $node->client;
    for my $size (125, 126, 127, 4095, 4096) {
        $client->send_text(substr('{"type":"ping","id":"' . $size . '"}' . ' ' x 5000, 0, $size));
        is($client->expect('pong')->{id}, $size, "$size bytes");
    }
};

check 'an empty text is no command, and no violation' => sub {
    my $client = $node->client;
    $client->send_text('');
    is($client->expect('error')->{payload}{code}, 4006, 'error 4006');
    is($client->call('ping')->{type}, 'pong', 'the connection goes on');
};

# ---- the close handshake ---------------------------------------------------------------------------------------------

for my $code (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999) {
    check "a close with $code is answered with $code, and the connection ends" => sub {
        my $client = $node->client;
        $client->close($code, "because \xe2\x82\xac");
        my $close = $client->read_close(no_answer => 1);
        ok($close->{clean}, 'a close frame comes back');
        is($close->{code}, $code, 'with the same code');
        is($close->{eof}, 'end', 'and the server ends the connection');
    };
}

check 'a close without code is answered, and the connection ends' => sub {
    my $client = $node->client;
    $client->close;
    my $close = $client->read_close(no_answer => 1);
    ok($close->{clean}, 'a close frame comes back');
    ok(!defined $close->{code} || $close->{code} == 1000, 'without code or with 1000');
    is($close->{eof}, 'end', 'and the server ends the connection');
};

check 'what was asked before the close is answered before the close' => sub {
    my $client = $node->client;
    $client->raw_send(frame(text => '{"type":"ping","id":"last"}') . frame(close => pack 'n', 1000));
    my $close = $client->read_close;
    is($close->{messages}[0]{id}, 'last', 'the answer comes first');
    is($close->{code}, 1000, 'then the close');
};

check 'nothing after a close is executed' => sub {
    my $watcher = $node->client;
    $watcher->subscribe('chat:closed');
    my $client = $node->client;
    $client->raw_send(frame(close => pack 'n', 1000)
            . frame(text => '{"type":"publish","payload":{"channel":"chat:closed","data":1}}'));
    is($client->read_close->{code}, 1000, 'closed');
    $node->publish('chat:closed', '"marker"');
    is($watcher->event->{data}, 'marker', 'only what came otherwise arrives');
};

$t->finish;
done_testing;
