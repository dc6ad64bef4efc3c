# Disconnect, ban, unban, unsubscribe: by HTTP and by weftctl, for every worker of every node, and for those that come
# later.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use JSON::PP;
use Test::More;
use Weft::Test;

my $t      = Weft::Test->new(needs => [qw(ngx_http_weft_module.so weftd weftctl)]);
my $key    = $t->key_file;
my %keys = (    # name => what it may call
    moderator => [qw(weft.ban weft.unban)],
    session   => ['weft.disconnect'],
    all       => ['weft.*'],
    shop      => [],
);
my $keys = spew($t->prefix . '/api.keys',
    join '', map { "$_ sha256:" . sha256_hex("key-of-$_") . ' ' . encode_json({ rpc => $keys{$_} }) . "\n" } sort keys %keys);
my $server = <<"SERVER";
        location /api/ { weft_api; }
        location /closed/ { weft_api; deny all; }
        location /keyed/ { weft_api; weft_api_key $keys; }
        location ~ ^/speak/(.+)\$ { weft_publish \$1 ticket; weft_ticket key=$key; }
        location = /http { weft_websocket; weft_ticket key=$key; weft_reject http; }
        location = /few { weft_websocket; weft_ticket key=$key; weft_reject http; weft_connections per_user=1; }
SERVER
my ($a, $b) = $t->mesh('a', 'b', { workers => 2, location => "weft_ticket key=$key; weft_rate off;", server => $server,
    http => "    log_format keys '\$request|\$http_x_api_key|\$http_authorization';\n    access_log keys.log keys;\n" });

sub api { my ($node, $command, $parameters) = @_;
    return $node->nginx->request(POST => "/api/$command", content => encode_json($parameters),
        headers => { 'Content-Type' => 'application/json' });
}
sub weftctl {
    my ($node, @arguments) = @_;
    my $pid = open(my $out, '-|') // die "fork: $!\n";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec "$Weft::Test::BUILD/weftctl", @arguments, '--sidecar', $node->weftd->worker_address;
    }
    my $text = do { local $/; <$out> } // '';
    close $out;
    return wantarray ? ($? >> 8, $text) : $text;
}
# How a connection ends that is to be ended: its code.
sub code_of { my ($client) = @_; return $client->read_close->{code} }
sub greeted { my ($node, %claims) = @_;
    my $client = Weft::Client->open(port => $node->port, ticket => $t->ticket(%claims));
    my $first  = $client->next_message;
    return $first->{type} eq 'error' ? $first->{payload}{code} : $first->{type};
}
sub untouched { my ($client) = @_; return $client->call('ping')->{type} eq 'pong' }

# Once news of one kind has come through, so does the next: links are ordered, and each node has one to the other.
sub meshed {
    my ($from, $to) = @_;
    my $n = 0;
    return wait_for {
        my $user = 'probe' . $n++ . $from->name;
        my $victim = $to->client(sub => $user);
        api($from, 'disconnect', { user => $user });
        eval { $victim->read_close(timeout => 0.5)->{code} == 4013 };
    };
}
ok(meshed($a, $b) && meshed($b, $a), 'the nodes hear of each other\'s decisions');

check 'disconnect ends a user\'s connections on every worker of every node, and no others' => sub {
    my @ann = map { $_->client_per_worker(sub => 'ann') } $a, $b;
    my @bob = map { $_->client(sub => 'bob') } $a, $b;
    is(scalar @ann, 4, 'four workers');
    my $answer = api($a, 'disconnect', { user => 'ann' });
    is($answer->{status}, 202, 'accepted') or diag $answer->{content};
    for (@ann) {
        my $close = $_->read_close;
        is($close->{code}, 4013, 'closed as revoked');
        is($close->{messages}[-1]{payload}{reason}, 'revoked', 'after an error frame');
    }
    ok(untouched($_), 'bob stays') for @bob;
    is(greeted($b, sub => 'ann'), 'connection_established', 'who was disconnected may come back');
};

check 'by client id and by ticket' => sub {
    my ($one, $other) = map { $b->client(sub => 'ann', jti => 'ticket-7') } 1, 2;
    my $third = $b->client(sub => 'ann', jti => 'ticket-8');
    is(api($a, 'disconnect', { client => $one->greeting->{client_id} })->{status}, 202, 'accepted');
    is(code_of($one), 4013, 'that connection ends');
    ok(untouched($other), 'another of the same ticket does not');
    is(api($a, 'disconnect', { ticket => 'ticket-7' })->{status}, 202, 'accepted');
    is(code_of($other), 4013, 'until the ticket is meant');
    ok(untouched($third), 'and a connection of another ticket stays');
};

check 'a ban holds for those who come, wherever they come' => sub {
    my $eve = $b->client(sub => 'eve');
    is(api($a, 'ban', { user => 'eve', seconds => 3600 })->{status}, 202, 'accepted');
    my $close = $eve->read_close;
    is($close->{code}, 4009, 'her connection ends');
    cmp_ok($close->{messages}[-1]{payload}{retry_after_ms}, '>', 3_000_000, 'and she is told for how long');
    for my $node ($a, $b) {
        ok(wait_for { greeted($node, sub => 'eve') eq 4009 }, 'a new one is refused on ' . $node->name) for 1 .. 2;
    }
    is(greeted($a, sub => 'bob'), 'connection_established', 'others come in');
    is(api($b, 'unban', { user => 'eve' })->{status}, 202, 'unban is accepted on the other node');
    ok(wait_for { greeted($a, sub => 'eve') eq 'connection_established' }, 'and she may come again');
};

check 'unsubscribe takes a user out of a channel' => sub {
    my ($ann, $bob) = ($b->client(sub => 'ann'), $b->client(sub => 'bob'));
    for my $client ($ann, $bob) { $client->subscribe("chat:$_") for qw(left kept) }
    is(api($a, 'unsubscribe', { user => 'ann', channel => 'chat:left' })->{status}, 202, 'accepted');
    my $told = $ann->expect('unsubscribed')->{payload};
    is("$told->{channel} $told->{code}", 'chat:left 4013', 'she is told');
    $b->publish("chat:$_", '1') for qw(left kept);
    is($ann->event->{channel}, 'chat:kept', 'she gets what is published elsewhere');
    is($bob->event->{channel}, 'chat:left', 'he gets everything');
};

check 'weftctl does the same' => sub {
    my $ann = $b->client(sub => 'ann');
    my ($status, $text) = weftctl($a, 'disconnect', '--user', 'ann');
    is($status, 0, 'exit code 0') or diag $text;
    is(code_of($ann), 4013, 'disconnected');
    is((weftctl($a, 'ban', '--ticket', 'stolen', '--for', '10m'))[0], 0, 'a ticket is banned');
    ok(wait_for { greeted($b, sub => 'ann', jti => 'stolen') eq 4009 }, 'and refused');
    is(greeted($b, sub => 'ann', jti => 'own'), 'connection_established', 'her own is not');
    is((weftctl($a, 'unban', '--ticket', 'stolen'))[0], 0, 'unbanned');
    ok(wait_for { greeted($b, sub => 'ann', jti => 'stolen') eq 'connection_established' }, 'and good again');
    my @wrong = (
        [ 2, qr/one of user, client and ticket/, 'disconnect' ],
        [ 2, qr/--for/, 'ban', '--user', 'ann' ],
        [ 2, qr/expected a time such as/, 'ban', '--user', 'ann', '--for', 'soon' ],
        [ 2, qr/16 hexadecimal digits/, 'disconnect', '--client', '12' ],
        [ 2, qr/expected a channel/, 'unsubscribe', '--user', 'ann', '--channel', 'a b' ],
    );
    for (@wrong) {
        my ($code, $says, @arguments) = @$_;
        my ($got, $text) = weftctl($a, @arguments);
        is($got, $code, "@arguments: exit code $code");
        like($text, $says, 'says why');
    }
    my $pid = open(my $out, '-|', "$Weft::Test::BUILD/weftctl disconnect --user x --sidecar ipc://$a->{weftd}{folder}/none --timeout 0.3 2>&1");
    like(do { local $/; <$out> }, qr/no weftd answers at ipc:/, 'without a weftd it says so');
    close $out;
    is($? >> 8, 1, 'exit code 1');
};

check 'an API key calls the commands that it grants, and no others' => sub {
    my %calls = (
        ban         => { user => 'keyed', seconds => 60 },
        unban       => { user => 'keyed' },
        disconnect  => { user => 'keyed' },
        unsubscribe => { user => 'keyed', channel => 'chat:x' },
    );
    my %may = (moderator => [qw(ban unban)], session => ['disconnect'], all => [qw(ban unban disconnect unsubscribe)], shop => []);
    for my $name (sort keys %may) {
        for my $command (qw(ban unban disconnect unsubscribe)) {
            my $want   = (grep { $_ eq $command } @{ $may{$name} }) ? 202 : 403;
            my $answer = $a->nginx->request(POST => "/keyed/$command", content => encode_json($calls{$command}),
                headers => { 'X-API-Key' => "key-of-$name" });
            is($answer->{status}, $want, "$name: $command: $want") or diag $answer->{content};
            is($answer->{json}{code}, 4010, 'code 4010') if $want == 403;
        }
    }
    for ([], ['X-API-Key' => 'another'], [ Authorization => 'Bearer ' . $t->ticket ]) {
        my $answer = $a->nginx->request(POST => '/keyed/disconnect', content => '{"user":"bob"}', headers => {@$_});
        is($answer->{status}, 401, 'without a key of the file: 401');
    }
    my $bearer = $a->nginx->request(POST => '/keyed/disconnect', content => '{"user":"nobody"}',
        headers => { Authorization => 'Bearer key-of-session' });
    is($bearer->{status}, 202, 'a key may come as a bearer');
    $a->nginx->access_lines(qr{/keyed/}, 20);
    my $logs = slurp("$a->{nginx}{folder}/keys.log") . $a->nginx->error_log;
    like($logs, qr/\|\*{6,}\|/, 'keys are masked in a log');
    unlike($logs, qr/key-of-/, 'none is in any');
};

check 'a ban holds over HTTP, too' => sub {
    my $speak = sub {
        my (%claims) = @_;
        return $b->nginx->request(POST => '/speak/chat:x', content => '1', headers => { Authorization => 'Bearer ' . $t->ticket(%claims) });
    };
    is($speak->(sub => 'carl')->{status}, 202, 'he publishes');
    is(api($a, 'ban', { user => 'carl', seconds => 3600 })->{status}, 202, 'banned');
    is(api($a, 'ban', { ticket => 'lost', seconds => 3600 })->{status}, 202, 'and a ticket');
    my $answer;
    # Each worker hears of it by itself.
    ok(wait_for { 8 == grep { ($answer = $speak->(sub => 'carl'))->{status} == 403 } 1 .. 8 }, 'he is refused: 403');
    is($answer->{json}{code}, 4009, 'code 4009');
    cmp_ok($answer->{headers}{'retry-after'}, '>', 3000, 'Retry-After');
    ok(wait_for { 8 == grep { $speak->(sub => 'dora', jti => 'lost')->{status} == 403 } 1 .. 8 }, 'so is who brings the ticket');
    is($speak->(sub => 'dora', jti => 'own')->{status}, 202, 'others are not');
    my $status = $b->status;
    cmp_ok($status->{connections}{banned}, '>=', 16, 'they are counted');
    cmp_ok($status->{revocations}{bans}, '>=', 2, 'and the bans');
    cmp_ok($status->{revocations}{remembered}, '>=', $status->{revocations}{bans}, 'among all that is remembered');
    is_deeply($status->{once}, { used => 0, capacity => 0 }, 'there is no memory of used tickets without once');
};

check 'weft_reject http tells bans and full houses before the upgrade' => sub {
    my $handshake = sub {
        my ($path, %claims) = @_;
        return $b->nginx->exchange("GET $path HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                . 'Authorization: Bearer ' . $t->ticket(%claims) . "\r\n\r\n");
    };
    my $banned = $handshake->('/http', sub => 'carl');
    is($banned->{status}, 403, 'banned: 403') or diag $banned->{bytes};
    cmp_ok($banned->{headers}{'retry-after'}, '>', 3000, 'Retry-After');
    is($handshake->('/http', sub => 'dora')->{status}, 101, 'others come in');
    my $one = Weft::Client->open(port => $b->port, path => '/few', ticket => $t->ticket(sub => 'emil'));
    is($one->next_message->{type}, 'connection_established', 'one connection');
    my $second = $handshake->('/few', sub => 'emil');
    is($second->{status}, 503, 'a second is one too many: 503') or diag $second->{bytes};
    like($second->{body}, qr/"code":4015/, 'code 4015');
    $one->leave;
    ok(wait_for { $handshake->('/few', sub => 'emil')->{status} == 101 }, 'when the first has gone there is room');
};

check 'bad requests are told what was expected' => sub {
    my @wrong = (
        [ 'disconnect', {}, 400, qr/one of user, client and ticket/ ],
        [ 'disconnect', { user => 'a', ticket => 'b' }, 400, qr/one of user, client and ticket/ ],
        [ 'disconnect', { user => 7 }, 400, qr/"user" is no text/ ],
        [ 'disconnect', { client => 'xyz' }, 400, qr/16 hexadecimal digits/ ],
        [ 'ban', { user => 'a' }, 400, qr/"seconds"/ ],
        [ 'ban', { user => 'a', seconds => -1 }, 400, qr/"seconds"/ ],
        [ 'ban', { client => '00000000000000ff', seconds => 1 }, 400, qr/can't be banned/ ],
        [ 'unsubscribe', { user => 'a' }, 400, qr/expected a channel/ ],
        [ 'explode', { user => 'a' }, 404, qr/no such command/ ],
    );
    for (@wrong) {
        my ($command, $parameters, $status, $says) = @$_;
        my $answer = api($a, $command, $parameters);
        is($answer->{status}, $status, "$command: $status");
        like($answer->{json}{message}, $says, 'says why');
    }
    my $text = $a->nginx->request(POST => '/api/ban', content => '[1', headers => {});
    is($text->{status}, 400, 'no JSON');
    is($a->nginx->request(GET => '/api/ban')->{status}, 405, 'no POST');
    is($a->nginx->request(POST => '/closed/ban', content => '{}')->{status}, 403, "nginx's own access rules come first");
};

check 'workers and nodes that come later learn of bans' => sub {
    is(api($a, 'ban', { user => 'mallory', seconds => 3600 })->{status}, 202, 'accepted');
    ok(wait_for { greeted($b, sub => 'mallory') eq 4009 }, 'known on b');
    $a->nginx->reload;
    $a->wait_linked;
    is(greeted($a, sub => 'mallory'), 4009, 'new workers of a reload refuse her') for 1 .. 4;

    $b->weftd->crash;
    $b->weftd->start;
    $b->wait_linked;
    is(greeted($b, sub => 'mallory'), 4009, 'a weftd that was killed hears of it again') for 1 .. 4;
    $b->nginx->reload;
    $b->wait_linked;
    ok(wait_for { greeted($b, sub => 'mallory') eq 4009 }, 'and tells new workers');
};

check 'what was decided while a node was away is done when it is back' => sub {
    my $ann = $b->client(sub => 'ann');
    $b->weftd->crash;
    is(api($a, 'disconnect', { user => 'ann' })->{status}, 202, 'accepted on a');
    $b->weftd->start;
    is(code_of($ann), 4013, 'she is disconnected');
    is(greeted($b, sub => 'ann'), 'connection_established', 'and may come back');
};

$t->expect_in_log(qr/link to weftd is down/);
$t->finish;
done_testing;
