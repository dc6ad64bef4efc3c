# Webhooks: what weftd asks a back end by HTTP, and what clients see of a back end that misbehaves.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(hmac_sha256);
use HTTP::Tiny;
use MIME::Base64 qw(encode_base64 decode_base64);
use Test::More;
use Time::HiRes qw(time);
use Weft::Test;

my $t       = Weft::Test->new;
my $key     = $t->key_file;
my $back    = $t->back_end('app');
my $secret  = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
my $hook_key = spew($t->prefix . '/hooks.key', "whsec_$secret\n");
my $port    = $t->port;

# A node with these hooks.
sub node {
    my ($name, $hooks, %more) = @_;
    my $http = $t->port;
    my $node = $t->node(
        $name,
        workers    => 2,
        location   => "weft_ticket key=$key; weft_rate off;",
        rules      => "weft_channel old:** { publish on; history 100 10m; }\nweft_channel room:** { publish on; presence on; }\nweft_channel ** { publish on; }\n",
        weftd_yaml => "http: 127.0.0.1:$http\nhooks:\n$hooks",
        %more,
    );
    $node->{http} = $http;
    return $node;
}
sub metric {
    my ($node, $name) = @_;
    my $page = HTTP::Tiny->new(timeout => 20)->get("http://127.0.0.1:$node->{http}/metrics")->{content};
    my ($value) = $page =~ /^\Q$name\E (\S+)$/m;
    return $value // 0;
}
sub rpc { my ($client, $method, %more) = @_; return $client->call('rpc', method => $method, %more) }

my $url = $back->url;
my $a   = node('a', <<"YAML");
  timeout: 4s
  key: $hook_key
  max_answer: 1m
  headers: {X-Application: shop}
  breaker: {failures: 0}
  rpc: {url: "$url/rpc"}
YAML

check 'a call goes to the back end and its result comes back' => sub {
    my $client = $a->client(sub => 'ann');
    my $answer = rpc($client, 'orders.get', params => { id => 7 });
    is($answer->{type}, 'rpc_response', 'answered');
    is_deeply($answer->{payload}{result}, { method => 'orders.get', params => { id => 7 }, user => 'ann' }, 'with the result');
    my ($asked) = $back->asked('rpc');
    is($asked->{asked}{client_id}, $client->greeting->{client_id}, 'the back end knows the connection');
    is($asked->{asked}{node}, 'a', 'and the node');
    is($asked->{path}, '/rpc', 'at its URL');
    is($asked->{headers}{'x-application'}, 'shop', 'with the header of the configuration');
    is($asked->{headers}{'content-type'}, 'application/json', 'as JSON');
    is(rpc($client, 'weft.echo', params => 1)->{payload}{result}, 1, 'built-in methods are weftd\'s');
    is(scalar($back->asked('rpc')), 1, 'and not asked about');
};

check 'a call is signed as Standard Webhooks say' => sub {
    my ($asked) = $back->asked('rpc');
    my %head = map { $_ => $asked->{headers}{"webhook-$_"} } qw(id timestamp signature);
    cmp_ok(abs($head{timestamp} - time), '<', 600, 'it is fresh');
    is($head{signature}, 'v1,' . encode_base64(hmac_sha256("$head{id}.$head{timestamp}.$asked->{raw}", decode_base64($secret)), ''),
        'the signature is that of the key');
};

check 'connections to the back end are kept' => sub {
    my $client = $a->client;
    rpc($client, 'orders.get') for 1 .. 10;
    my %ports = map { $_->{peer} => 1 } $back->asked('rpc');
    cmp_ok(keys %ports, '<=', 2, 'one or two are enough');
};

check 'many calls at once are answered, each its own' => sub {
    my $client = $a->client;
    $client->send_json({ type => 'rpc', id => "c$_", payload => { method => 'sum.ok', params => $_ } }) for 1 .. 300;
    my %got;
    for (1 .. 300) {
        my $answer = $client->next_message;
        $got{ $answer->{id} } = $answer->{payload}{result}{params};
    }
    is(scalar(grep { $got{"c$_"} == $_ } 1 .. 300), 300, 'all');
};

# What a client is told, for each way in which a back end fails.
my @faults = (
    [ 'x.refuse',   4103, qr/^not you$/,              250 ],
    [ 'x.deny',     4000, qr/refused by the application/, undef ],
    [ 'x.garbage',  4017, qr/no valid answer/,        1000 ],
    [ 'x.badcode',  4017, qr/no valid answer/,        1000 ],
    [ 'x.fail',     4017, qr/no valid answer/,        1000 ],
    [ 'x.busy',     4017, qr/no valid answer/,        7000 ],
    [ 'x.huge',     4017, qr/no valid answer/,        1000 ],
    [ 'x.redirect', 4017, qr/no valid answer/,        1000 ],
    [ 'x.drop',     4017, qr/can't be reached/,       1000 ],
    [ 'x.hang',     4019, qr/didn't answer in time/,  1000 ],
);
check 'a back end that fails: the client is told, and nothing else suffers' => sub {
    my ($client, $other) = ($a->client, $a->client);
    for my $fault (@faults) {
        my ($method, $code, $message, $retry) = @$fault;
        my $before = grep { $_->{asked}{method} eq $method } $back->asked('rpc');
        my $error  = rpc($client, $method)->{payload};
        is($error->{code}, $code, "$method: $code");
        like($error->{message}, $message, 'says why');
        is($error->{retry_after_ms}, $retry, 'and when to try again');
        is(scalar(grep { $_->{asked}{method} eq $method } $back->asked('rpc')), $before + 1, 'asked once');
    }
    is(scalar(grep { $_->{path} =~ /elsewhere/ } $back->asked), 0, 'a redirect is not followed');
    $client->send_json({ type => 'rpc', id => 'h', payload => { method => 'x.hang' } });
    is(rpc($other, 'x.ok')->{type}, 'rpc_response', 'others are answered meanwhile');
    is($client->next_message->{payload}{code}, 4019, 'who called what hangs is told in time');
    like($a->weftd->log_text, qr/hook_failed hook=rpc outcome=failed why="status 500"/, 'the log says more than clients hear');
    is(rpc($client, 'x.empty')->{payload}{result}, undef, 'an empty answer is null');
};

check 'a caller that is gone: nobody minds' => sub {
    my $client = $a->client;
    $client->send_json({ type => 'rpc', id => 's', payload => { method => 'x.slow' } });
    ok(wait_for { grep { $_->{asked}{method} eq 'x.slow' } $back->asked('rpc') }, 'the back end has it');
    $client->hang_up;
    is(rpc($a->client, 'x.ok')->{type}, 'rpc_response', 'and the next call is answered');
    ok(wait_for { metric($a, 'weftd_rpc_outstanding') == 0 }, 'no call is left');
};

check 'metrics count the calls' => sub {
    my $calls = sub { metric($a, qq(weftd_hook_calls_total{hook="rpc",outcome="$_[0]"})) };
    cmp_ok($calls->('allowed'), '>=', 300, 'that were answered');
    is($calls->('refused'), 2, 'that were refused');
    is($calls->('failed'), 6, 'that failed');
    is($calls->('timed_out'), 2, 'that took too long');
    is($calls->('unreachable'), 1, 'that broke');
    cmp_ok(metric($a, 'weftd_rpc_duration_seconds_count'), '>=', 300, 'how long calls take');
};


my $b = node('b', <<"YAML");
  timeout: 4s
  breaker: {failures: 0}
  connect: {url: "$url/connect"}
  subscribe: {url: "$url/subscribe", channels: ["seat:**"]}
  publish: {url: "$url/publish", channels: ["room:**", "old:**"]}
  disconnect: {url: "$url/disconnect"}
YAML

check 'publications are asked about: allowed, refused, rewritten' => sub {
    my ($ann, $bob) = map { $b->client(sub => $_) } qw(ann bob);
    $bob->subscribe($_) for qw(room:ok room:deny room:refuse room:rewrite room:fail room:hang other:deny);
    is($ann->must('publish', channel => 'room:ok', data => 1, message_id => 'm-1')->{message_id}, 'm-1', 'allowed');
    is($bob->event->{data}, 1, 'and delivered');
    my ($asked) = map { $_->{asked} } $back->asked('publish');
    is_deeply([ @$asked{qw(channel data user client_id message_id node)} ],
        [ 'room:ok', 1, 'ann', $ann->greeting->{client_id}, 'm-1', 'b' ], 'the back end was told all');
    for ([ deny => 4010 ], [ refuse => 4103 ], [ fail => 4017 ], [ hang => 4017 ]) {
        is($ann->call('publish', channel => "room:$_->[0]", data => 1)->{payload}{code}, $_->[1], "$_->[0]: $_->[1]");
    }
    $ann->must('publish', channel => 'room:rewrite', data => { secret => 1 });
    like($bob->event->{raw}, qr/"data":\{"was": 1\.10, "text": "\\u00e9"\}/, 'rewritten, byte for byte; of the others nothing came');
    $ann->must('publish', channel => 'other:deny', data => 1);
    is($bob->event->{channel}, 'other:deny', 'channels that the hook is not for are not asked about');
    is($b->publish('room:deny', '5')->{status}, 202, 'nor are back ends');
    is($bob->event->{data}, 5, 'which may publish where clients may not');
};

check 'publications of one client to one channel stay in order, and wait for nobody else' => sub {
    my ($ann, $bob) = map { $b->client(sub => $_) } qw(ann bob);
    my $reader = $b->client;
    $reader->subscribe($_) for qw(room:slow room:quick);
    $ann->send_json({ type => 'publish', id => "p$_", payload => { channel => 'room:slow', data => $_ } }) for 1 .. 4;
    $ann->must('publish', channel => 'room:quick', data => 'q');
    is($reader->event->{data}, 'q', 'another channel is quicker');
    is_deeply([ map { $reader->event->{data} } 1 .. 4 ], [ 1 .. 4 ], 'the slow one keeps its order');
    is_deeply([ map { $_->{asked}{data} } grep { $_->{asked}{channel} eq 'room:slow' } $back->asked('publish') ], [ 1 .. 4 ],
        'the back end saw them in order');
    is_deeply([ map { $ann->next_message->{id} } 1 .. 4 ], [ map { "p$_" } 1 .. 4 ], 'so do the answers');
};

check 'a publication that is repeated is asked about once' => sub {
    my $ann = $b->client(sub => 'ann');
    my $reader = $b->client;
    $reader->subscribe('old:slow');
    $ann->send_json({ type => 'publish', id => "p$_", payload => { channel => 'old:slow', data => 1, message_id => 'same' } }) for 1 .. 3;
    is($ann->next_message->{payload}{message_id}, 'same', "answer $_") for 1 .. 3;
    $ann->must('publish', channel => 'old:slow', data => 2);
    is_deeply([ map { $reader->event->{data} } 1, 2 ], [ 1, 2 ], 'delivered once');
    is(scalar(grep { ($_->{asked}{message_id} // '') eq 'same' } $back->asked('publish')), 1, 'asked once');
};

check 'more publications than may wait are refused, and the rest comes' => sub {
    my $ann = $b->client(sub => 'ann');
    $ann->send_json({ type => 'publish', id => "p$_", payload => { channel => 'room:x:hang', data => $_ } }) for 1 .. 70;
    my %codes;
    $codes{ $ann->next_message->{payload}{code} }++ for 1 .. 6;
    is_deeply(\%codes, { 4017 => 6 }, '64 wait, six do not');
    $ann->hang_up;
};

check 'subscriptions are asked about' => sub {
    my $ann = $b->client(sub => 'ann');
    $ann->subscribe('seat:1:ok');
    my ($asked) = map { $_->{asked} } $back->asked('subscribe');
    is($ann->call('subscribe', channel => 'seat:refuse')->{payload}{message}, 'not you', 'refused in the words of the back end');
    is($ann->call('subscribe', channel => 'seat:deny')->{payload}{code}, 4010, 'or in ours');
    is($ann->call('subscribe', channel => 'seat:fail')->{payload}{code}, 4017, 'a back end that fails lets nobody in');
    is($ann->call('unsubscribe', channel => 'seat:deny')->{payload}{code}, 4011, 'who was refused is not in the channel');
    $ann->subscribe('other:deny');
    my $before = $back->asked('subscribe');
    $ann->subscribe('seat:1:ok');
    is(scalar($back->asked('subscribe')), $before, 'who is in a channel already is not asked about');
    $ann->send_json({ type => 'subscribe', id => 's', payload => { channel => 'seat:slow' } });
    $ann->send_json({ type => 'unsubscribe', id => 'u', payload => { channel => 'seat:slow' } });
    is_deeply([ map { my $m = $ann->next_message; "$m->{id} $m->{type}" } 1, 2 ], [ 's error', 'u unsubscribed' ], 'a question can be taken back');
    $ann->must('publish', channel => 'seat:slow', data => 1);
    is($ann->call('ping')->{type}, 'pong', 'and nothing comes of it');
};

check 'connections are asked about before they are greeted' => sub {
    my $ann = $b->client(sub => 'ann', info => { name => 'A' });
    my ($asked) = grep { $_->{user} eq 'ann' && $_->{info} } map { $_->{asked} } $back->asked('connect');
    is($asked->{client_id}, $ann->greeting->{client_id}, 'the back end knows the connection');
    is_deeply($asked->{info}, { name => 'A' }, 'and what the ticket says');
    my $second = $b->client(sub => 'ann2');
    is($second->greeting->{user}, 'ann the second', 'it may say who it is');
    is($second->call('subscribe', channel => 'shut:1')->{payload}{code}, 4010, 'and what it may');
    $second->subscribe('open:1');
    for ([ deny => 4002 ], [ refuse => 4103 ], [ fail => 4017 ], [ hang => 4017 ]) {
        my ($user, $code) = @$_;
        my $client = Weft::Client->open(port => $b->port, ticket => $t->ticket(sub => $user));
        my $error = $client->next_message;
        is($error->{payload}{code}, $code, "$user is told $code");
        is($client->read_close->{code}, $code, 'and the connection ends with it');
    }
};

check 'what is sent before the greeting waits for it' => sub {
    my $client = Weft::Client->open(port => $b->port, ticket => $t->ticket(sub => 'slow'));
    $client->send_json({ type => 'subscribe', id => "s$_", payload => { channel => "other:$_" } }) for 1 .. 3;
    is_deeply([ map { $client->next_message->{type} } 1 .. 4 ], [ 'connection_established', ('subscribed') x 3 ], 'then it is done');
};

check 'the end of a connection is told' => sub {
    my $ann = $b->client(sub => 'ann');
    my $id  = $ann->greeting->{client_id};
    $ann->close(1000);
    my ($told) = wait_for { grep { $_->{asked}{client_id} eq $id } $back->asked('disconnect') };
    ok($told, 'once');
    my ($body) = map { $_->{asked} } grep { $_->{asked}{client_id} eq $id } $back->asked('disconnect');
    is($body->{code}, 1000, 'with its code');
    is($body->{user}, 'ann', 'and its user');
    ok(!(grep { ($_->{asked}{user} // '') eq 'deny' } $back->asked('disconnect')), 'of those who were not let in nothing is told');
};

check 'without weftd nobody is let in; when it is back, they are' => sub {
    my $before = $b->client(sub => 'ann');
    $b->weftd->crash;
    ok(wait_for { $before->call('publish', channel => 'other:1', data => 1)->{payload}{code} == 4017 }, 'weftd is away');
    my $client = Weft::Client->open(port => $b->port, ticket => $t->ticket(sub => 'bob'));
    $client->send_json({ type => 'subscribe', id => 's', payload => { channel => 'other:1' } });
    $b->weftd->start;
    is($client->next_message->{type}, 'connection_established', 'who came meanwhile is greeted when the back end has said yes');
    my $asked = grep { ($_->{asked}{user} // '') eq 'bob' } $back->asked('connect');
    cmp_ok($asked, '>=', 1, 'it was asked');
};

my $c = node('c', <<"YAML");
  timeout: 4s
  concurrency: 2
  queue: 3
  breaker: {failures: 3, pause: 5s}
  rpc: {url: "$url/rpc"}
YAML

check 'calls beyond the queue are refused at once' => sub {
    my $client = $c->client;
    # In one go: none is to be answered before the last is sent.
    $client->raw_send(join '', map { Weft::Client::frame_bytes(text => qq({"type":"rpc","id":"c$_","payload":{"method":"x.slow"}})) } 1 .. 10);
    my %codes;
    $codes{ $client->next_message->{payload}{code} // 'ok' }++ for 1 .. 10;
    is_deeply(\%codes, { ok => 5, 4017 => 5 }, 'two run, three wait, five are told to come back');
};

check 'a back end that fails again and again is left in peace' => sub {
    my $client = $c->client;
    is(rpc($client, 'x.fail')->{payload}{code}, 4017, 'fails') for 1 .. 3;
    my $before = $back->asked('rpc');
    my $error  = rpc($client, 'x.ok')->{payload};
    is($error->{code}, 4017, 'not called any more');
    like($error->{message}, qr/is failing/, 'says so');
    is(scalar($back->asked('rpc')), $before, 'the back end has heard nothing');
    ok(wait_for { metric($c, q(weftd_hook_breaker{hook="rpc"})) == 1 }, "metrics show the breaker");
    ok(wait_for { rpc($client, 'x.ok')->{type} eq 'rpc_response' }, 'it is tried again');
    is(rpc($client, 'x.ok')->{type}, 'rpc_response', 'and called as ever');
};

check 'a back end that is away is told of, and found again' => sub {
    my $client = $c->client;
    $back->stop;
    my $error = rpc($client, 'x.ok')->{payload};
    is($error->{code}, 4017, 'unreachable');
    $back->start;
    ok(wait_for { rpc($client, 'x.ok')->{type} eq 'rpc_response' }, 'it is back');
};

my $examples = "$FindBin::Bin/../docs/examples";
for my $example ([ 'hooks.py' ], [ 'hooks.mjs', 'node' ]) {
    my ($file, @with) = @$example;
    check "the documented back end $file" => sub {
        my $at  = $t->port;
        my $app = $t->back_end($file, port => $at, listens => 1, command => [ @with, "$examples/$file", $at, $hook_key ]);
        my $name = $file =~ s/\W/-/r;
        my $node = node($name, join '', "  key: $hook_key\n", map { "  $_: {url: \"http://127.0.0.1:$at/\"}\n" } qw(connect subscribe publish rpc disconnect));
        my ($ann, $bob) = map { $node->client(sub => $_) } qw(ann bob);
        $_->subscribe('room:1') for $ann, $bob;
        $ann->subscribe('room:staff');
        is($bob->call('subscribe', channel => 'room:staff')->{payload}{message}, 'staff only', 'subscribe');
        $ann->must('publish', channel => 'room:1', data => 'damn it');
        is($bob->event->{data}, 'd*** it', 'publish');
        is($ann->call('publish', channel => 'room:1', data => 7)->{payload}{code}, 4006, 'publish, refused');
        is_deeply(rpc($bob, 'orders.get', params => { id => 7 })->{payload}{result}, { id => 7, owner => 'bob' }, 'rpc');
        is(rpc($bob, 'orders.burn')->{payload}{code}, 4018, 'rpc, unknown');
        my ($member) = grep { $_->{user} eq 'ann' } @{ $bob->must('presence', channel => 'room:1')->{members} };
        is_deeply($member->{info}, { name => 'Ann' }, 'connect gives presence its info');
        my $stranger = HTTP::Tiny->new->post("http://127.0.0.1:$at/", { content => '{"event":"rpc","method":"orders.get"}' });
        is($stranger->{status}, 401, 'a call that is not signed is not taken');
    };
}

$t->finish;
done_testing;
