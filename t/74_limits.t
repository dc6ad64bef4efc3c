# What a client, a user, an address and a channel may do at most: each limit's code, its retry_after_ms and its counter.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);
use Weft::Test;

my $t       = Weft::Test->new;
my $key     = $t->key_file;
my $REAL_IP = "    set_real_ip_from 127.0.0.1;\n    real_ip_header X-Forwarded-For;\n";
my $node    = $t->node(
    'a',
    workers => 2,
    rules   => <<'RULES',
    weft_channel small:* { publish on; max_size 100; }
    weft_channel slow:*  { publish on; rate 6r/m burst=2; }
    weft_channel room:*  { publish on; max_members 2; }
    weft_channel chat:*  { publish on; }
RULES
    http     => "$REAL_IP    weft_json_depth 6;\n    weft_drain 1s;\n    weft_reload drain;\n",
    location => "weft_ticket key=$key; weft_rate off;",
    server   => <<"SERVER",
        location = /bytes   { weft_websocket; weft_ticket key=$key; weft_rate 1000r/s burst=1000 bytes=1k/s bytes_burst=8k; }
        location = /user    { weft_websocket; weft_ticket key=$key; weft_rate off; weft_user_rate 1r/m burst=9; }
        location = /ip      { weft_websocket; weft_ticket key=$key; weft_rate off; weft_ip_rate 6r/m burst=9; }
        location = /subs    { weft_websocket; weft_ticket key=$key; weft_rate off; weft_subscriptions 3; }
        location = /first   { weft_websocket; weft_ticket key=$key; weft_first_subscribe 4s; }
        location = /default { weft_websocket; weft_ticket key=$key; }
SERVER
);

sub at { my ($path, %more) = @_; return $node->client(with => { path => $path }, %more) }
sub from {
    my ($path, $address) = @_;
    return $node->client(with => { path => $path, headers => [ 'X-Forwarded-For' => $address ] });
}
sub refused { return $node->status->{refused}{ $_[0] } }

# One client in each worker, at this location.
sub one_in_each {
    my ($path, %claims) = @_;
    my (%by, @all);
    for (1 .. 500) {
        push @all, my $client = at($path, %claims);
        $by{ $node->nginx->worker_of($client) } //= $client;
        last if keys %by == 2;
    }
    die "not every worker takes connections\n" if keys %by < 2;
    return (values %by, \@all);
}

# How many of these commands are served, and the payload of the last error.
sub served {
    my ($clients, $times, @command) = @_;
    my ($served, $error) = (0);
    for (1 .. $times) {
        for my $client (@$clients) {
            my $answer = $client->call(@command);
            if ($answer->{type} eq 'error') { $error = $answer->{payload} }
            else                            { ++$served }
        }
    }
    return ($served, $error // {});
}

check 'bytes of a connection' => sub {
    my $client = at('/bytes');
    my $data   = 'x' x 3000;
    my ($count, $error) = served([$client], 6, 'publish', channel => 'chat:bytes', data => $data);
    cmp_ok($count, '>=', 3, 'three of 3 kB pass a burst of 8k');
    cmp_ok($count, '<', 6, 'and not all six');
    is($error->{code}, 4004, 'then 4004');
    like($error->{message}, qr/bytes/, 'which says what is meant');
    cmp_ok($error->{retry_after_ms}, '>', 0, 'and when to come back');
    cmp_ok(refused('bytes'), '>', 0, 'counted');
};

check 'by default a connection may send 1m/s, with a burst of 4m' => sub {
    my $client = at('/default');
    my $before = refused('bytes');
    my $data   = 'x' x 60_000;
    my ($count) = served([$client], 60, 'publish', channel => 'chat:default', data => $data);
    is($count, 60, '3.6 MB at once');
    is(refused('bytes'), $before, 'nothing refused');
};

check 'messages of a user, over connections and workers' => sub {
    my ($one, $two, $others) = one_in_each('/user', sub => 'ann');
    my ($count, $error) = served([ $one, $two ], 10, 'ping');
    cmp_ok($count, '>=', 10, 'ten are served');
    cmp_ok($count, '<=', 13, 'of the twenty that both sent together');
    is($error->{code}, 4004, 'then 4004');
    like($error->{message}, qr/user/, 'which says whose they are');
    cmp_ok($error->{retry_after_ms}, '>', 1000, 'retry_after_ms is the user\'s');
    is(at('/user', sub => 'bob')->call('ping')->{type}, 'pong', 'another user is served');
    cmp_ok(refused('user_rate'), '>=', 7, 'counted');
};

check 'a worker that is killed leaves the rates in order' => sub {
    my ($one, $two, $others) = one_in_each('/user', sub => 'eve');
    my ($count) = served([ $one, $two ], 8, 'ping');
    cmp_ok($count, '<', 16, 'eve is at her limit');
    my ($victim) = $node->nginx->worker_of($one);
    $t->expect_in_log(qr/exited on signal 9/);
    kill 'KILL', $victim;
    ok(wait_for { my @w = $node->nginx->workers; @w == 2 && !grep { $_ == $victim } @w }, 'a new worker');
    $node->wait_linked;
    is(at('/user', sub => 'eve')->call('ping')->{payload}{code}, 4004, 'she still is');
    is(at('/user', sub => 'cid')->call('ping')->{type}, 'pong', 'others are served');
};

check 'messages from an address' => sub {
    my @clients = map { from('/ip', $_) } '192.0.2.1', '::ffff:192.0.2.1';
    my ($count, $error) = served(\@clients, 10, 'ping');
    cmp_ok($count, '>=', 10, 'ten are served');
    cmp_ok($count, '<=', 13, 'of twenty');
    is($error->{code}, 4004, 'then 4004');
    like($error->{message}, qr/address/, 'which says what is meant');
    unlike($error->{message}, qr/192/, 'without saying which');
    cmp_ok($error->{retry_after_ms}, '>', 1000, 'and when to come back');
    is(from('/ip', '192.0.2.2')->call('ping')->{type}, 'pong', 'another address is served');
    my @six = map { from('/ip', "2001:db8:1:1::$_") } 1, 2;
    ($count) = served(\@six, 10, 'ping');
    cmp_ok($count, '<=', 13, 'a /64 is one address');
    cmp_ok(refused('ip_rate'), '>=', 14, 'counted');
};

check 'publications of a channel, over workers' => sub {
    my ($one, $two, $others) = one_in_each('/ws');
    my ($count, $error) = served([ $one, $two ], 4, 'publish', channel => 'slow:a', data => 1);
    cmp_ok($count, '>=', 3, 'three are accepted');
    cmp_ok($count, '<=', 5, 'of the eight that both sent together');
    is($error->{code}, 4004, 'then 4004');
    cmp_ok($error->{retry_after_ms}, '>', 1000, 'and when to come back');
    is($one->call('publish', channel => 'slow:b', data => 1)->{type}, 'published', 'another channel has its own');
    is($node->nginx->request(POST => '/publish/slow:a', content => '1')->{status}, 202, 'back ends are not limited');
    cmp_ok(refused('channel_rate'), '>=', 3, 'counted');
};

check 'the size of a channel\'s data' => sub {
    my $client = at('/ws');
    is($client->call('publish', channel => 'small:a', data => 'x' x 98)->{type}, 'published', '100 bytes');
    my $error = $client->call('publish', channel => 'small:a', data => 'x' x 99)->{payload};
    is($error->{code}, 4005, '101 are 4005');
    like($error->{message}, qr/at most 100 bytes/, 'with the bound');
    is($client->call('signal', channel => 'small:a', name => 'n', data => 'x' x 99)->{payload}{code}, 4005, 'signals, too');
    my $answer = $node->nginx->request(POST => '/publish/small:a', content => '"' . 'x' x 99 . '"');
    is($answer->{status}, 413, 'and back ends');
    is($answer->{json}{code}, 4005, 'with the code');
    cmp_ok(refused('max_size'), '>=', 3, 'counted');
};

check 'members of a channel, over workers, whatever happens to them' => sub {
    my ($one, $two, $others) = one_in_each('/ws');
    $_->subscribe('room:a') for $one, $two;
    $one->subscribe('room:a');
    my $third = at('/ws');
    my $error = $third->call('subscribe', channel => 'room:a')->{payload};
    is($error->{code}, 4008, 'the third is told 4008');
    is($error->{reason}, 'channel_full', 'channel_full');
    cmp_ok($error->{retry_after_ms}, '>', 0, 'and when to try again');
    $third->subscribe('room:b');
    my $comes_in = sub { my ($client) = @_; wait_for { $client->call('subscribe', channel => 'room:a')->{type} eq 'subscribed' } };
    $one->must('unsubscribe', channel => 'room:a');
    ok($comes_in->($third), 'one leaves, one comes in');
    $two->hang_up;
    ok($comes_in->($one), 'a broken connection makes room');
    is(at('/ws')->call('subscribe', channel => 'room:a')->{payload}{code}, 4008, 'and no more than that');
    cmp_ok(refused('max_members'), '>=', 2, 'counted');

    my ($a, $b, $rest) = one_in_each('/ws');
    $_->subscribe('room:c') for $a, $b;
    my $victim = $node->nginx->worker_of($a);
    kill 'KILL', $victim;
    ok(wait_for { my @w = $node->nginx->workers; @w == 2 && !grep { $_ == $victim } @w }, 'a worker is killed');
    $node->wait_linked;
    my $next = at('/ws');
    is($next->call('subscribe', channel => 'room:c')->{type}, 'subscribed', 'what it held is free at once');
    is(at('/ws')->call('subscribe', channel => 'room:c')->{payload}{code}, 4008, 'and what the other holds is not');
};

check 'channels of a connection' => sub {
    my $client = at('/subs');
    $client->subscribe("chat:$_") for 1 .. 3;
    my $error = $client->call('subscribe', channel => 'chat:4')->{payload};
    is($error->{code}, 4016, 'the fourth is 4016');
    is($client->call('subscribe', channel => 'chat:3')->{type}, 'subscribed', 'again is no more');
    $client->must('unsubscribe', channel => 'chat:1');
    is($client->call('subscribe', channel => 'chat:4')->{type}, 'subscribed', 'one less, one more');
    cmp_ok(refused('subscriptions'), '>=', 1, 'counted');
    my $many = at('/ws');
    $many->subscribe("chat:m$_") for 1 .. 256;
    is($many->call('subscribe', channel => 'chat:m257')->{payload}{code}, 4016, 'by default there may be 256');
};

check 'a connection that subscribes to nothing in time' => sub {
    my $idle   = at('/first');
    my $active = at('/first');
    $active->subscribe('chat:first');
    my $close = $idle->read_close;
    is($close->{code}, 4019, 'ends with 4019');
    like($close->{reason}, qr/no subscription/, 'which says why');
    is($active->call('ping')->{type}, 'pong', 'the other goes on');
    cmp_ok(refused('first_subscribe'), '>=', 1, 'counted');
};

check 'nesting of JSON' => sub {
    my $client = at('/ws');
    my $nested = sub { my $n = shift; '[' x $n . ']' x $n };
    my $send   = sub {
        $client->send_text('{"type":"publish","id":"n","payload":{"channel":"chat:n","data":' . $nested->(shift) . '}}');
        return $client->next_message;
    };
    is($send->(4)->{type}, 'published', 'as deep as it may be');
    my $error = $send->(5);
    is($error->{payload}{code}, 4006, 'one deeper is 4006');
    like($error->{payload}{message}, qr/nested too deep/, 'which says why');
    is($node->nginx->request(POST => '/publish/chat:n', content => $nested->(7), headers => { 'content-type' => 'application/json' })->{status}, 400, 'back ends, too');
    cmp_ok(refused('invalid'), '>=', 1, 'counted');
};

check 'the length of a message' => sub {
    my $before = refused('message_size');
    my $client = at('/ws');
    my $limit  = $client->greeting->{limits}{message_size};
    $client->send_text('{"type":"ping","id":"p"' . ' ' x ($limit - 24) . '}');
    is($client->next_message->{type}, 'pong', 'as long as it may be');
    $client->send_text('{"type":"ping","id":"p"' . ' ' x ($limit - 23) . '}');
    is($client->read_close->{code}, 1009, 'one byte more is 1009');
    is(refused('message_size'), $before + 1, 'counted');
};

check 'a client that goes on against a limit is closed' => sub {
    my $before = refused('abusers');
    my $client = at('/ws');
    $client->raw_send(Weft::Client::frame_bytes(
            text => '{"type":"publish","payload":{"channel":"small:a","data":"' . 'x' x 200 . '"}}') x 300);
    my $close = $client->read_close;
    is($close->{code}, 4004, 'with 4004');
    is(scalar(grep { ($_->{payload}{code} // 0) == 4005 } @{ $close->{messages} }), 101, 'after a hundred warnings');
    is(refused('abusers'), $before + 1, 'counted');
};

check 'the zone has room for rates' => sub {
    my $rates = $node->status->{rates};
    cmp_ok($rates->{capacity}, '>', 1000, 'for thousands');
    is($rates->{forgotten}, 0, 'nobody was forgotten');
};

# ---- calls that wait: needs a weftd that doesn't answer, so it is stopped for a while --------------------------------

my $b = $t->node('b', location => "weft_ticket key=$key; weft_rate off; weft_pending_rpcs 3;");
check 'calls of a connection that wait for an answer' => sub {
    my $client = $b->client;
    $b->weftd->signal('STOP');
    $client->send_json({ type => 'rpc', id => "r$_", payload => { method => 'echo', params => 1 } }) for 1 .. 4;
    my $error = $client->next_message;
    is($error->{id}, 'r4', 'the fourth');
    is($error->{payload}{code}, 4004, 'is 4004');
    cmp_ok($error->{payload}{retry_after_ms}, '>', 0, 'and when to come back');
    $b->weftd->signal('CONT');
    my @answers = map { $client->next_message->{id} } 1 .. 3;
    is("@answers", 'r1 r2 r3', 'the others are answered');
    isnt($client->call('rpc', method => 'echo', params => 1)->{payload}{code}, 4004, 'and then there is room again');
    is($b->status->{refused}{pending_rpcs}, 1, 'counted');
};

# ---- configuration ---------------------------------------------------------------------------------------------------

my $conf = $t->nginx('c', stopped => 1);
for (
    [ 'weft_rate 10r/s burst=5 bytes=64k/s bytes_burst=1m', undef ],
    [ 'weft_rate 10r/s bytes=off',                          undef ],
    [ 'weft_rate 10r/s bytes_burst=8m',                     undef ],
    [ 'weft_rate 10r/s bytes=64k',          qr/invalid parameter "bytes=64k" in "weft_rate", expected .*bytes=SIZE\/s/ ],
    [ 'weft_rate 10r/s bytes=fast/s',       qr/invalid parameter "bytes=fast\/s"/ ],
    [ 'weft_rate 10r/s bytes=2g/s',         qr/invalid parameter "bytes=2g\/s"/ ],
    [ 'weft_rate 10r/s bytes=0/s',          qr/invalid parameter "bytes=0\/s"/ ],
    [ 'weft_rate 10r/s bytes_burst=x',      qr/invalid parameter "bytes_burst=x"/ ],
    [ 'weft_rate 10r/s bytes=off bytes_burst=1m', qr/"bytes_burst" in "weft_rate" goes with a rate of bytes/ ],
    [ 'weft_rate 10r/s burst=1 burst=2',    qr/"burst=2" in "weft_rate" is there already/ ],
    [ 'weft_rate off bytes=1m/s',           qr/"weft_rate off" takes no further parameter/ ],
    [ 'weft_user_rate 100r/s burst=50',     undef ],
    [ 'weft_user_rate off',                 undef ],
    [ 'weft_user_rate 100',                 qr/invalid rate "100" in "weft_user_rate"/ ],
    [ 'weft_user_rate 200000r/s',           qr/invalid rate "200000r\/s" in "weft_user_rate", expected at most 100000r\/s/ ],
    [ 'weft_user_rate 1r/s bytes=1m/s',     qr/invalid parameter "bytes=1m\/s" in "weft_user_rate"/ ],
    [ 'weft_user_rate 1r/s; weft_user_rate off', qr/"weft_user_rate" directive is duplicate/ ],
    [ 'weft_ip_rate 5r/m burst=0',          undef ],
    [ 'weft_ip_rate 5r/m burst=-1',         qr/invalid parameter "burst=-1" in "weft_ip_rate"/ ],
    [ 'weft_subscriptions 1000',            undef ],
    [ 'weft_subscriptions 0',               qr/invalid number "0" in "weft_subscriptions", expected 1 to 100000/ ],
    [ 'weft_subscriptions off',             qr/invalid number "off" in "weft_subscriptions"/ ],
    [ 'weft_pending_rpcs 4095',             undef ],
    [ 'weft_pending_rpcs 4096',             qr/invalid number "4096" in "weft_pending_rpcs", expected 1 to 4095/ ],
    [ 'weft_first_subscribe off',           undef ],
    [ 'weft_first_subscribe 30s',           undef ],
    [ 'weft_first_subscribe 11m',           qr/invalid time "11m" in "weft_first_subscribe", expected 1s to 10m/ ],
    [ 'weft_first_subscribe 0',             qr/invalid time "0" in "weft_first_subscribe"/ ],
    [ 'weft_json_depth 16',                 qr/"weft_json_depth" directive is not allowed here/ ],
    )
{
    my ($line, $says) = @$_;
    my ($status, $output) = $conf->test_configuration($conf->configuration(location => "weft_ticket key=$key; $line;"));
    if ($says) { ok($status != 0 && $output =~ $says && $output =~ /try\.conf:\d+/, "$line is refused") or diag($output) }
    else       { is($status, 0, "$line is accepted") or diag($output) }
}
for ([ 2, 1 ], [ 64, 1 ], [ 1, 0 ], [ 65, 0 ], [ 'deep', 0 ]) {
    my ($depth, $good) = @$_;
    my ($status, $output) = $conf->test_configuration($conf->configuration(http => "    weft_json_depth $depth;\n"));
    is($status == 0 || 0, $good, "weft_json_depth $depth is " . ($good ? 'accepted' : 'refused')) or diag($output);
}

$t->finish;
done_testing;
