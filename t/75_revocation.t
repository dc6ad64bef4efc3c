# Disconnect, ban, unban, unsubscribe: by HTTP and by weftctl, for every worker of every node, and for those that come
# later.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Weft::Test;

my $t      = Weft::Test->new(needs => [qw(ngx_http_weft_module.so weftd weftctl)]);
my $key    = $t->key_file;
my $server = "        location /api/ { weft_api; }\n        location /closed/ { weft_api; deny all; }\n";
my ($a, $b) = $t->mesh('a', 'b', { workers => 2, location => "weft_ticket key=$key; weft_rate off;", server => $server });

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
