# The client protocol, weft.v1.json: each command, each error that can arise, and data that passes byte for byte.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Weft::Test;

my $t     = Weft::Test->new;
my $key   = $t->key_file;
my $node  = $t->node('a', location => "weft_ticket key=$key; weft_rate off;",
    server => "        location /huge { weft_websocket; weft_ticket key=$key; weft_rate off; weft_message_size 8m; weft_send_queue 64m; }\n");
my $chan  = 0;
sub fresh { return 'chat:c' . ++$chan }

my $TIMESTAMP = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

sub is_error {
    my ($answer, $code, $reason, $id) = @_;
    is($answer->{type}, 'error', 'an error') or diag($answer->{raw});
    is($answer->{payload}{code},   $code,   "with code $code") or diag($answer->{raw});
    is($answer->{payload}{reason}, $reason, "named $reason");
    like($answer->{payload}{message} // '', qr/\w+ \w+/, 'with a sentence');
    is($answer->{id}, $id, 'and the id of the command') if defined $id;
    return;
}

# ---- subscribe, publish ----------------------------------------------------------------------------------------------

check 'a subscriber gets what another client publishes' => sub {
    my $channel    = fresh();
    my $ann        = $node->client(sub => 'ann');
    my $bob        = $node->client(sub => 'bob');
    my $subscribed = $ann->subscribe($channel);
    is($subscribed->{channel}, $channel, 'subscribed names the channel');
    ok(defined $subscribed->{position}, 'and a position');
    is($subscribed->{replay}, 0, 'and that nothing is replayed');

    my $published = $bob->must('publish', channel => $channel, data => { text => 'hello' });
    like($published->{message_id}, qr/./, 'published says a message id');
    like($published->{position},   qr/^[0-9a-z._]+$/, 'and a position');

    my $event = $ann->event;
    is($event->{channel}, $channel, 'the event names the channel');
    is_deeply($event->{data}, { text => 'hello' }, 'and has the data');
    is($event->{message_id}, $published->{message_id}, 'and the message id');
    is($event->{position}, $published->{position}, 'and the position');
    like($event->{timestamp}, $TIMESTAMP, 'and the time');
    is($event->{publisher}{user}, 'bob', 'and the publisher');
    is($event->{publisher}{client_id}, $bob->greeting->{client_id}, 'and the client');
    isnt($event->{position}, $subscribed->{position}, 'the position has moved on');
    unlike($event->{raw}, qr/"id":/, 'an event has no id');
};

check 'a publisher gets its own publication back, once' => sub {
    my $channel = fresh();
    my $ann     = $node->client;
    $ann->subscribe($channel);
    my $published = $ann->must('publish', channel => $channel, data => 1);
    is($ann->event->{message_id}, $published->{message_id}, 'the event comes');
    is(scalar $ann->drain, 0, 'and nothing more');
};

check 'echo: false turns that off for this connection alone' => sub {
    my $channel = fresh();
    my ($ann, $bob) = map { $node->client } 1 .. 2;
    $_->subscribe($channel, echo => $_ == $ann ? JSON::PP::false : JSON::PP::true) for $ann, $bob;
    $ann->must('publish', channel => $channel, data => 'mine');
    $bob->must('publish', channel => $channel, data => 'yours');
    is($ann->event->{data}, 'yours', "the publisher gets only others' publications");
    is($bob->event->{data}, 'mine',  'the others get everything');
    is($bob->event->{data}, 'yours', 'their own too');
};

check "the client's message id is kept" => sub {
    my $channel = fresh();
    my $ann     = $node->client;
    $ann->subscribe($channel);
    is($ann->must('publish', channel => $channel, data => 1, message_id => 'mine-1')->{message_id}, 'mine-1', 'in published');
    is($ann->event->{message_id}, 'mine-1', 'and in the event');
};

check 'publish without id gets no success reply, and works' => sub {
    my $channel = fresh();
    my ($ann, $bob) = map { $node->client } 1 .. 2;
    $bob->subscribe($channel);
    $ann->send_json({ type => 'publish', payload => { channel => $channel, data => 'quiet' } });
    is($bob->event->{data}, 'quiet', 'delivered');
    is(scalar $ann->drain, 0, 'and nothing is answered');
};

check 'publish without id that fails is answered with an error' => sub {
    my $ann = $node->client;
    $ann->send_json({ type => 'publish', payload => { channel => 'nosuch:x', data => 1 } });
    is_error($ann->expect('error'), 4007, 'channel_not_found');
};

check 'the events of one publisher come in order' => sub {
    my $channel = fresh();
    my ($ann, $bob) = map { $node->client } 1 .. 2;
    $bob->subscribe($channel);
    $ann->raw_send(join '', map { Weft::Client::frame_bytes(text => qq({"type":"publish","payload":{"channel":"$channel","data":$_}})) } 1 .. 1000);
    my @got = map { $bob->event->{data} } 1 .. 1000;
    is_deeply(\@got, [ 1 .. 1000 ], 'all thousand of them');
};

check 'subscribing twice is answered afresh and delivers once' => sub {
    my $channel = fresh();
    my $ann     = $node->client;
    $ann->subscribe($channel) for 1 .. 3;
    $ann->must('publish', channel => $channel, data => 'once');
    is($ann->event->{data}, 'once', 'the event');
    is(scalar $ann->drain, 0, 'comes once');
};

check 'subscribing twice at once is answered twice' => sub {
    my $channel = fresh();
    my $ann     = $node->client;
    $ann->raw_send(join '', map { Weft::Client::frame_bytes(text => qq({"type":"subscribe","id":"s$_","payload":{"channel":"$channel"}})) } 1 .. 3);
    is($ann->expect('subscribed', "s$_")->{payload}{channel}, $channel, "answer $_") for 1 .. 3;
    $ann->must('publish', channel => $channel, data => 'once');
    is($ann->event->{data}, 'once', 'an event');
    is(scalar $ann->drain, 0, 'still comes once');
};

check 'unsubscribing ends the events' => sub {
    my $channel = fresh();
    my ($ann, $bob) = map { $node->client } 1 .. 2;
    $_->subscribe($channel) for $ann, $bob;
    is($ann->must('unsubscribe', channel => $channel)->{channel}, $channel, 'unsubscribed names the channel');
    $bob->must('publish', channel => $channel, data => 1);
    $bob->event;
    is(scalar $ann->drain, 0, 'nothing comes any more');
    $ann->subscribe($channel);
    $bob->must('publish', channel => $channel, data => 2);
    is($ann->event->{data}, 2, 'until one subscribes again');
};

check 'unsubscribing from a channel that one is not in is error 4011' => sub {
    my $ann = $node->client;
    is_error($ann->call('unsubscribe', channel => fresh()), 4011, 'not_subscribed');
};

check 'subscribe and unsubscribe in one go end unsubscribed' => sub {
    my $channel = fresh();
    my ($ann, $bob) = map { $node->client } 1 .. 2;
    $ann->raw_send(join '', map { Weft::Client::frame_bytes(text => $_) }
            qq({"type":"subscribe","id":"1","payload":{"channel":"$channel"}}),
        qq({"type":"unsubscribe","id":"2","payload":{"channel":"$channel"}}));
    is($ann->expect('unsubscribed', '2')->{payload}{channel}, $channel, 'answered');
    $bob->must('publish', channel => $channel, data => 1);
    $ann->must('ping');
    is(scalar(grep { $_->{type} eq 'event' } $ann->drain), 0, 'no event comes');
};

check 'a client in many channels gets the events of each' => sub {
    my @channels = map { fresh() } 1 .. 200;
    my ($ann, $bob) = map { $node->client } 1 .. 2;
    $ann->subscribe($_) for @channels;
    $bob->send_json({ type => 'publish', payload => { channel => $_, data => $_ } }) for @channels;
    my %got = map { my $e = $ann->event; ($e->{channel} => $e->{data}) } @channels;
    is_deeply(\%got, { map { $_ => $_ } @channels }, 'each in its channel');
};

check 'a client in as many channels as it may be is refused another one with 4016' => sub {
    my $ann   = $node->client;
    my $first = fresh();
    $ann->subscribe($first);
    my $refusal;
    for (1 .. 2000) {
        my $answer = $ann->call('subscribe', channel => fresh());
        next if $answer->{type} eq 'subscribed';
        $refusal = $answer;
        last;
    }
    is_error($refusal, 4016, 'too_many_subscriptions');
    is($ann->subscribe($first)->{channel}, $first, 'while one that it is in may be subscribed again');
    $ann->must('unsubscribe', channel => $first);
    is($ann->call('subscribe', channel => fresh())->{type}, 'subscribed', 'and when it leaves one there is room');
};

# ---- signal, rpc, ping -----------------------------------------------------------------------------------------------

check 'a signal reaches subscribers with its name, data and publisher' => sub {
    my $channel = fresh();
    my $ann     = $node->client(sub => 'ann');
    my $bob     = $node->client(sub => 'bob');
    $bob->subscribe($channel);
    $ann->send_json({ type => 'signal', payload => { channel => $channel, name => 'typing', data => { on => JSON::PP::true } } });
    my $signal = $bob->expect('signal')->{payload};
    is($signal->{channel}, $channel, 'the channel');
    is($signal->{name}, 'typing', 'the name');
    ok($signal->{data}{on}, 'the data');
    is($signal->{publisher}{user}, 'ann', 'the publisher');
    ok(!exists $signal->{position}, 'and no position');
    is(scalar $ann->drain, 0, 'the sender gets no reply without id');
};

check 'a signal may come without data, and with id it is answered' => sub {
    my $channel = fresh();
    my ($ann, $bob) = map { $node->client } 1 .. 2;
    $bob->subscribe($channel);
    my $answer = $ann->call('signal', channel => $channel, name => 'seen');
    isnt($answer->{type}, 'error', 'answered') or diag($answer->{raw});
    my $signal = $bob->expect('signal')->{payload};
    is($signal->{name}, 'seen', 'delivered');
    ok(!exists $signal->{data}, 'without data');
};

check 'rpc weft.echo returns its params byte for byte' => sub {
    my $ann = $node->client;
    my $odd = '{"n":1.50e+2,"big":12345678901234567890,"s":"\u00e9\/","l":[ 1 , 2 ]}';
    $ann->send_text(qq({"type":"rpc","id":"e","payload":{"method":"weft.echo","params":$odd}}));
    my $answer = $ann->expect('rpc_response', 'e');
    like($answer->{raw}, qr/"result":\Q$odd\E/, 'untouched');
};

check 'rpc weft.time tells the time' => sub {
    my $ann    = $node->client;
    my $result = $ann->must('rpc', method => 'weft.time')->{result};
    ok(defined $result, 'a result');
    note(JSON::PP->new->allow_nonref->canonical->encode($result));
};

check 'rpc to a method that nobody has is error 4018' => sub {
    is_error($node->client->call('rpc', method => 'orders.list'), 4018, 'method_not_found');
};

check 'answers to many rpcs carry the ids of their questions' => sub {
    my $ann = $node->client;
    $ann->send_json({ type => 'rpc', id => "r$_", payload => { method => 'weft.echo', params => { n => $_ } } }) for 1 .. 300;
    my %got = map { my $m = $ann->expect('rpc_response'); ($m->{id} => $m->{payload}{result}{n}) } 1 .. 300;
    is_deeply(\%got, { map { ("r$_" => $_) } 1 .. 300 }, 'each its own');
};

check 'ping is answered by pong, with and without id' => sub {
    my $ann = $node->client;
    is($ann->call('ping')->{type}, 'pong', 'with');
    $ann->send_text('{"type":"ping"}');
    my $pong = $ann->expect('pong');
    ok(!exists $pong->{id}, 'without');
};

# ---- data, byte for byte ---------------------------------------------------------------------------------------------

my @data = (
    '0', '-0', '1.0', '1.50', '1e5', '1E+05', '-1.2e-10', '12345678901234567890123456789', '0.10000000000000000555',
    'true', 'false', 'null', '""', '"\u00e9"', "\"\xc3\xa9\"", '"\/\b\f\n\r\t\\\\\""', '"\ud83d\ude00"', "\"\xf0\x9f\x98\x80\"",
    '"\u0000"', '{}', '[]', '[ ]', '{ "a" : 1 }', '{"a":1,"a":2}', "[1,\n\t2]", '{"z":1,"a":{"b":[null,{}]}}',
    '"</script>"', '"' . 'x' x 5000 . '"', '[' x 50 . ']' x 50,
);
check 'data passes untouched' => sub {
    my $channel = fresh();
    my ($ann, $bob) = map { $node->client } 1 .. 2;
    $bob->subscribe($channel);
    for my $data (@data) {
        $ann->send_text(qq({"type":"publish","payload":{"channel":"$channel","data":$data}}));
        my $raw   = $bob->expect('event')->{raw};
        my $shown = length $data > 60 ? substr($data, 0, 20) . '…' : $data =~ s/\n/\\n/r;
        ok($raw =~ /"data":\Q$data\E[,}]/, "as $shown") or diag(substr $raw, 0, 300);
    }
};

check 'names and order of members do not matter, unknown ones are ignored' => sub {
    my $channel = fresh();
    my $ann     = $node->client;
    $ann->send_text(qq( { "x" : [1,{"type":"ping"}] , "payload" : { "more":null, "data" : 1 , "channel":"$channel" } , "id" : "o" , "type" : "publish" } ));
    is($ann->expect('published', 'o')->{id}, 'o', 'published');
    $ann->send_text(qq({"\\u0074ype":"ping","id":"esc\\u0061ped"}));
    is($ann->expect('pong')->{id}, 'escaped', 'escapes in names and values are understood');
};

# ---- errors ----------------------------------------------------------------------------------------------------------

my @invalid = (
    [ 'no JSON'                          => '{"type":' ],
    [ 'a word'                           => 'hello' ],
    [ 'nothing'                          => '   ' ],
    [ 'a list'                           => '[{"type":"ping"}]' ],
    [ 'a string'                         => '"ping"' ],
    [ 'two values'                       => '{"type":"ping"} {"type":"ping"}' ],
    [ 'no type'                          => '{"id":"x"}' ],
    [ 'a type that is a number'          => '{"type":1}' ],
    [ 'an unknown type'                  => '{"type":"dance"}' ],
    [ 'an id that is a number'           => '{"type":"ping","id":7}' ],
    [ 'an id of 65 bytes'                => '{"type":"ping","id":"' . 'i' x 65 . '"}' ],
    [ 'a payload that is a list'         => '{"type":"subscribe","payload":["chat:x"]}' ],
    [ 'subscribe without payload'        => '{"type":"subscribe"}' ],
    [ 'subscribe without channel'        => '{"type":"subscribe","payload":{}}' ],
    [ 'a channel that is a number'       => '{"type":"subscribe","payload":{"channel":1}}' ],
    [ 'an empty channel'                 => '{"type":"subscribe","payload":{"channel":""}}' ],
    [ 'a channel with a space'           => '{"type":"subscribe","payload":{"channel":"chat:a b"}}' ],
    [ 'a channel with an umlaut'         => "{\"type\":\"subscribe\",\"payload\":{\"channel\":\"chat:\xc3\xbc\"}}" ],
    [ 'a channel with a NUL'             => '{"type":"subscribe","payload":{"channel":"chat:\u0000"}}' ],
    [ 'a channel with a star'            => '{"type":"subscribe","payload":{"channel":"chat:*"}}' ],
    [ 'a channel of 256 bytes'           => '{"type":"subscribe","payload":{"channel":"chat:' . 'x' x 251 . '"}}' ],
    [ 'a position that is a number'      => '{"type":"subscribe","payload":{"channel":"chat:x","position":1}}' ],
    [ 'a position that is none'          => '{"type":"subscribe","payload":{"channel":"chat:x","position":"!"}}' ],
    [ 'an echo that is a word'           => '{"type":"subscribe","payload":{"channel":"chat:x","echo":"no"}}' ],
    [ 'publish without data'             => '{"type":"publish","payload":{"channel":"chat:x"}}' ],
    [ 'a message id of 65 bytes'         => '{"type":"publish","payload":{"channel":"chat:x","data":1,"message_id":"' . 'm' x 65 . '"}}' ],
    [ 'a message id that is a number'    => '{"type":"publish","payload":{"channel":"chat:x","data":1,"message_id":1}}' ],
    [ 'signal without name'              => '{"type":"signal","payload":{"channel":"chat:x"}}' ],
    [ 'a signal name of 65 bytes'        => '{"type":"signal","payload":{"channel":"chat:x","name":"' . 'n' x 65 . '"}}' ],
    [ 'rpc without method'               => '{"type":"rpc","payload":{}}' ],
    [ 'a method of 129 bytes'            => '{"type":"rpc","payload":{"method":"' . 'm' x 129 . '"}}' ],
    [ 'data that is no JSON'             => '{"type":"publish","payload":{"channel":"chat:x","data":01}}' ],
    [ 'data with a bare control character' => "{\"type\":\"publish\",\"payload\":{\"channel\":\"chat:x\",\"data\":\"\x01\"}}" ],
    [ 'JSON nested too deeply'           => '{"type":"publish","payload":{"channel":"chat:x","data":' . '[' x 100 . ']' x 100 . '}}' ],
    [ 'unfinished nesting'               => '[' x 20000 ],
);
for (@invalid) {
    my ($what, $text) = @$_;
    check "$what is error 4006, and the connection goes on" => sub {
        my $ann = $node->client;
        $ann->send_text($text);
        is_error($ann->expect('error'), 4006, 'invalid_message');
        is($ann->call('ping')->{type}, 'pong', 'served on');
    };
}
check 'an error quotes little of a long message' => sub {
    my $ann = $node->client;
    $ann->send_text('{"type":"' . 'd' x 5000 . '"}');
    cmp_ok(length $ann->expect('error')->{raw}, '<', 600, 'the error is short');
};
check 'an error in a command with an id names it' => sub {
    my $ann = $node->client;
    $ann->send_text('{"type":"dance","id":"d1"}');
    is_error($ann->expect('error'), 4006, 'invalid_message', 'd1');
};
check 'commands of later versions are refused as unknown, or as not there yet' => sub {
    my $ann = $node->client;
    for my $type (qw(history presence)) {    # which this channel doesn't have
        my $answer = $ann->call($type, channel => 'chat:x', token => 'x');
        is($answer->{type}, 'error', "$type is an error") or diag($answer->{raw});
    }
    is($ann->call('ping')->{type}, 'pong', 'the connection goes on');
};

check 'the largest message that may be configured is published or refused, and the link stays' => sub {
    my $ann  = $node->client(with => { path => '/huge' });
    my $head = '{"type":"publish","id":"h","payload":{"channel":"chat:huge","data":"';
    my $tail = '"}}';
    $ann->send_text($head . 'x' x ((8 << 20) - length "$head$tail") . $tail);
    my $answer = $ann->expect('reply', 'h');
    ok($answer->{type} eq 'published' || $answer->{payload}{code} == 4005, 'answered') or diag($answer->{raw});
    is($node->client->call('rpc', method => 'weft.time')->{type}, 'rpc_response', 'others are served on');
    unlike($node->nginx->error_log, qr/link to weftd is down/, 'over the same link');
};

check 'a channel that no rule matches is error 4007' => sub {
    my $ann = $node->client;
    is_error($ann->call('subscribe', channel => 'nosuch:x'),                        4007, 'channel_not_found');
    is_error($ann->call('publish',   channel => 'nosuch:x', data => 1),             4007, 'channel_not_found');
    is_error($ann->call('signal',    channel => 'nosuch:x', name => 'n'),           4007, 'channel_not_found');
    is_error($ann->call('subscribe', channel => 'chat'),                            4007, 'channel_not_found');
    is_error($ann->call('subscribe', channel => 'chat:a:b'),                        4007, 'channel_not_found');
    is($ann->subscribe('user:a:b')->{channel}, 'user:a:b', '** matches segments');
};

check 'a channel where clients may not publish is error 4010' => sub {
    my $ann = $node->client;
    $ann->subscribe('ticker:x');
    is_error($ann->call('publish', channel => 'ticker:x', data => 1), 4010, 'permission_denied');
    is($node->publish('ticker:x', '5')->{status}, 202, 'a back end may');
    is($ann->event->{data}, 5, 'and it arrives');
};

check 'what the ticket does not grant is error 4010' => sub {
    my $ann = $node->client(
        channels => { 'chat:read' => ['subscribe'], 'chat:write' => ['publish'], 'chat:wave' => ['signal'], 'user:*' => [qw(subscribe publish)] },
        rpc      => ['weft.t*'],
    );
    is_error($ann->call('subscribe', channel => 'chat:other'),               4010, 'permission_denied');
    is_error($ann->call('subscribe', channel => 'chat:write'),               4010, 'permission_denied');
    is_error($ann->call('publish',   channel => 'chat:read', data => 1),     4010, 'permission_denied');
    is_error($ann->call('signal',    channel => 'chat:read', name => 'n'),   4010, 'permission_denied');
    is_error($ann->call('publish',   channel => 'chat:wave', data => 1),     4010, 'permission_denied');
    is_error($ann->call('subscribe', channel => 'user:a:b'),                 4010, 'permission_denied');
    is_error($ann->call('rpc',       method  => 'weft.echo'),                4010, 'permission_denied');
    is($ann->subscribe('chat:read')->{channel}, 'chat:read', 'what it grants works: subscribe');
    ok($ann->must('publish', channel => 'chat:write', data => 1)->{message_id}, 'publish');
    ok($ann->must('rpc', method => 'weft.time'), 'rpc');
    isnt($ann->call('signal', channel => 'chat:wave', name => 'n')->{type}, 'error', 'signal');
};

check 'a ticket without grants may do nothing but ping' => sub {
    my $ann = $node->client(channels => undef, rpc => undef);
    is_error($ann->call('subscribe', channel => 'chat:x'),           4010, 'permission_denied');
    is_error($ann->call('publish', channel => 'chat:x', data => 1),  4010, 'permission_denied');
    is_error($ann->call('rpc', method => 'weft.echo'),               4010, 'permission_denied');
    is($ann->call('ping')->{type}, 'pong', 'ping works');
};

check 'resuming is answered, and what cannot be had is told' => sub {
    my $channel = fresh();
    my ($ann, $bob) = map { $node->client } 1 .. 2;
    my $first = $ann->subscribe($channel);
    ok(defined $first->{position}, 'a first subscribe says where it stands');
    $bob->must('publish', channel => $channel, data => 1);
    my $position = $ann->event->{position};
    my $again    = $ann->subscribe($channel, position => $position);
    ok($again->{recovered}, 'one who lacks nothing has recovered');
    is($again->{replay}, 0, 'and is replayed nothing');
    $bob->must('publish', channel => $channel, data => 2);
    my $late = $bob->subscribe($channel, position => $position);
    ok(exists $late->{recovered} && !$late->{recovered} && $late->{replay} == 0
            || $late->{recovered} && $late->{replay} == 1, 'one who lacks something gets it or is told')
        or diag($late->{recovered}, ' ', $late->{replay});
    my $unknown = $node->client->subscribe($channel, position => 'zzzz.7');
    ok(exists $unknown->{recovered} && !$unknown->{recovered}, 'a position from nowhere has not recovered');
};

$t->finish;
done_testing;
