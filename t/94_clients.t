# Which connections there are: weft_api's `clients`, the method weft.clients, and weftctl clients, over doors, workers and
# nodes. (t/90_api.t: by the description of the API; tests/unit: what becomes of each answer that doesn't come.)
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Weft::Door::Promise;
use Weft::Test;
use Weft::Test::Weftctl;

my $t   = Weft::Test->new;
my $key = $t->key_file;
my ($a, $b) = nodes_with_doors($t, 'a', 'b', {
    server => <<"SERVER",
        location /weft/api/ { weft_api; }
        location = /anyone  { weft_websocket; weft_anonymous on; }
        location = /mirror  { weft_echo; }
        location = /unknown { weft_websocket; weft_ticket key=$key; weft_auth_timeout 10m; }
SERVER
});
my $json    = JSON::PP->new->utf8->canonical;
my $weftctl = Weft::Test::Weftctl->new($t);

# A page, as HTTP tells it.
sub page {
    my ($node, %parameters) = @_;
    my $answer = $node->nginx->request(POST => '/weft/api/clients', content => $json->encode(\%parameters));
    die "clients: $answer->{status} $answer->{content}\n" if $answer->{status} != 200;
    return $answer->{json};
}
# All pages, and what is done between two.
sub clients {
    my ($node, %parameters) = @_;
    my $between = delete $parameters{between} // sub { };
    my @all;
    while (1) {
        my $page = page($node, %parameters);
        push @all, @{ $page->{clients} };
        return @all if $page->{complete};
        $parameters{after} = $page->{next};
        $between->();
    }
}
sub ids { return join ' ', sort map { ref eq 'HASH' ? $_->{client_id} : $_->greeting->{client_id} } @_ }
# {status, clients, err} of weftctl clients --json.
sub listed {
    my ($node, @words) = @_;
    my $done = $weftctl->run('clients', '--json', Weft::Test::Weftctl::at($node), @words);
    return { %$done, clients => [ map { $json->decode($_) } split /\n/, $done->{out} ] };
}
# Waits until the nodes' answers are whole again: everybody is there, nobody is missing.
sub whole {
    my (@nodes) = @_;
    return wait_for { !grep { my $page = page($_); @{ $page->{missing} } || @{ $page->{nodes} } != @nodes } @nodes };
}
ok(whole($a, $b), 'the nodes have met');

# ---- what is told ----------------------------------------------------------------------------------------------------

my %told_as = (
    json => 'websocket json', protobuf => 'websocket protobuf', rooms => 'websocket rooms', raw => 'websocket raw',
    sse => 'sse json', sse2 => 'sse json', lines => 'stream json', lines2 => 'stream json', poll => 'poll json', poll2 => 'poll json',
);
my $has_http2 = qx{curl --version 2>/dev/null} =~ /\bHTTP2\b/;
for my $door (grep { $has_http2 || ($_->http // 1) != 2 } Weft::Door->all) {
    check $door->name . ': is told by its door and its codec' => sub {
        my $user     = 'at-' . $door->key;
        my $listener = $door->listen($a, channel => 'doors:bare:told', sub => $user);
        my @told;
        # A poll is there while it is held.
        ok(wait_for { $listener->pump if $listener->can('pump'); @told = clients($b, user => $user); @told == 1 && $told[0]{subscriptions} },
            'one, from the other node') or diag(explain(\@told));
        my $told = $told[0];
        is("$told->{transport} $told->{codec}", $told_as{ $door->key }, 'transport and codec');
        # A plain client of this location has a channel of its own besides, which it publishes to.
        is("$told->{user} $told->{node} $told->{subscriptions}", "$user a " . ($door->key eq 'raw' ? 2 : 1), 'user, node, subscriptions');
        like($told->{client_id}, qr/^[0-9a-f]{16}$/, 'client_id');
        like($told->{queued_bytes}, qr/^\d+$/, 'queued_bytes');
        like($told->{$_}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, $_) for qw(since expires_at);
        cmp_ok($told->{expires_at}, 'gt', $told->{since}, 'the end of the ticket is behind its beginning');
        $listener->cut;
        ok(wait_for { !ids(clients($b, user => $user)) }, 'and gone with it');
    };
}

check 'what there is none of is left out' => sub {
    my $anyone = Weft::Client->join(port => $a->port, path => '/anyone');
    my $mirror = Weft::Client->open(port => $a->port, path => '/mirror');
    my $silent = Weft::Client->open(port => $a->port, path => '/unknown');
    my @told;
    ok(wait_for { @told = clients($a); @told == 3 }, 'three') or diag(explain(\@told));
    my ($one) = grep { $_->{client_id} eq $anyone->greeting->{client_id} } @told;
    is_deeply([ sort keys %$one ], [qw(client_id codec node queued_bytes subscriptions transport)], 'nobody knows who they are');
    is((scalar grep { !exists $_->{user} && !exists $_->{since} } @told), 3, 'nor the others, one of whom has yet to say it');
    is((scalar grep { !exists $_->{codec} } @told), 1, 'messages that are echoed have no codec');
    is(listed($a)->{status}, 0, 'weftctl');
    like($weftctl->run('clients', Weft::Test::Weftctl::at($a))->{out}, qr/^$one->{client_id}\t-\ta\twebsocket\tjson\t-\t-\t0\t\d+$/m,
        'which says - instead');
    $_->hang_up for $anyone, $mirror, $silent;
    ok(wait_for { !ids(clients($a)) }, 'gone');
};

check 'bytes that a reader leaves lying are told' => sub {
    my $slow = $a->client(sub => 'slow', with => { receive_buffer => 4096 });
    $slow->subscribe('doors:bare:slow');
    my $speaker = $b->client(sub => 'speaker');
    my @told;
    ok(wait_for {
        $speaker->must('publish', channel => 'doors:bare:slow', data => 'x' x 30_000);
        @told = clients($b, user => 'slow');
        @told && $told[0]{queued_bytes} > 30_000;
    }, 'and become more') or diag(explain(\@told));
    $_->hang_up for $slow, $speaker;
};

# ---- who is told -----------------------------------------------------------------------------------------------------

check 'all are told, of all workers and nodes; or those of a user, in a channel, of a node' => sub {
    my %of = map { $_->name => [ map { $_->client_per_worker(sub => 'ann') } $_ ] } $a, $b;
    my $bob = $b->client(sub => 'bob');
    $_->subscribe('doors:open:which') for $of{a}[0], $of{b}[1], $bob;
    my @ann = map { @$_ } @of{qw(a b)};
    for my $node ($a, $b) {
        my $name = $node->name;
        ok(wait_for { ids(clients($node, user => 'bob')) eq ids($bob) }, "$name: a user");
        my @told = clients($node, user => 'ann');
        my %all  = map { $_->{client_id} => $_->{node} } @told;
        is_deeply([ map { $all{ $_->greeting->{client_id} } } @ann ], [qw(a a b b)], "$name: one of each worker, with its node");
        is(ids(clients($node, channel => 'doors:open:which')), ids($of{a}[0], $of{b}[1], $bob), "$name: in a channel");
        is(ids(clients($node, channel => 'doors:open:which', node => 'b')), ids($of{b}[1], $bob), "$name: of a node");
        is(ids(clients($node, channel => 'doors:open:which', node => 'b', user => 'ann')), ids($of{b}[1]), "$name: all of this");
        is(ids(clients($node, channel => 'doors:open:nobody')), '', "$name: nobody");
        my $by_weftctl = listed($node, '--channel', 'doors:open:which', '--node', 'b', '--user', 'ann');
        is_deeply($by_weftctl->{clients}, [ clients($node, channel => 'doors:open:which', node => 'b', user => 'ann') ],
            "$name: weftctl says the same");
    }
    is_deeply([ sort @{ page($a, node => 'b')->{nodes} } ], ['b'], 'whom it is about');
    my $admin = $a->client(sub => 'admin', rpc => ['weft.clients']);
    is_deeply([ map { $_->{user} } @{ $admin->call('rpc', method => 'weft.clients', params => { user => 'bob' })->{payload}{result}{clients} } ],
        ['bob'], 'an administrator may ask over a connection');
    my $else = $a->client(sub => 'else', rpc => ['weft.nodes']);
    is($else->call('rpc', method => 'weft.clients')->{payload}{code}, 4010, 'another may not');
    my $nowhere = $a->nginx->request(POST => '/weft/api/clients', content => '{"node":"c"}');
    is("$nowhere->{status} $nowhere->{json}{code}", '400 4006', 'a node that nobody knows: 400');
    like($nowhere->{json}{message}, qr/no node of this name is known/, 'which is said');
    my $typo = listed($a, '--node', 'c');
    is($typo->{status}, 1, 'weftctl: status 1');
    like($typo->{err}, qr/^weftctl: no node of this name is known \(4006 invalid_message\)$/m, 'which says so');
};

check 'paging loses and repeats none of those that stay while others come and go' => sub {
    my @stay = map { my $n = $_; map { $_->client(sub => "stays-$n") } $a, $b } 1 .. 60;
    my @fleeting;
    for my $node ($a, $b) {
        my $pages = 0;
        my @told = clients($node, limit => 13, between => sub {
            ++$pages;
            push @fleeting, map { $_->client(sub => 'fleeting') } $a, $b;
            (shift @fleeting)->hang_up if @fleeting > 5;
        });
        cmp_ok($pages, '>=', 9, "$pages pages and one");
        my @order = map { $_->{client_id} } @told;
        is_deeply(\@order, [ sort @order ], 'in the order of ids');
        my %times;
        ++$times{$_} for @order;
        is((scalar grep { $_ > 1 } values %times), 0, 'none comes twice');
        is((scalar grep { !$times{ $_->greeting->{client_id} } } @stay), 0, 'none of those that stay is lost');
    }
    my $all = listed($b);
    is((scalar grep { $_->{user} =~ /^stays/ } @{ $all->{clients} }), 120, 'weftctl lists them all');
    is(scalar @{ listed($b, '--limit', 50)->{clients} }, 50, 'or as many as it is told');
    $_->hang_up for @stay, @fleeting;
};

check 'weftctl disconnect takes the ids that are shown' => sub {
    my @ann = map { $_->client(sub => 'ann-twice') } $a, $b;
    my $told;
    ok(wait_for { ($told) = grep { $_->{node} eq 'b' } @{ listed($a, '--user', 'ann-twice')->{clients} } }, 'there she is');
    is($weftctl->run('disconnect', '--client', $told->{client_id}, Weft::Test::Weftctl::at($a))->{status}, 0, 'accepted');
    is($ann[1]->read_close->{code}, 4013, 'that one goes');
    ok(wait_for { ids(clients($a, user => 'ann-twice')) eq ids($ann[0]) }, 'the other stays');
};

# ---- who doesn't answer ----------------------------------------------------------------------------------------------

check 'a worker that is silent makes its node a missing one; of one that is gone nothing is left' => sub {
    my @clients = $b->client_per_worker(sub => 'of-workers');
    my ($stopped, $other) = map { $b->nginx->worker_of($_) } @clients;
    ok(wait_for { ids(clients($a, user => 'of-workers')) eq ids(@clients) }, 'one of each worker');
    my $page;
    ok(wait_for {
        kill STOP => $stopped;
        $page = page($a, user => 'of-workers');
        kill CONT => $stopped;
        # weftd takes a worker for gone that is silent for long: then it is not missed.
        "@{ $page->{missing} }" eq 'b' || do { whole($a, $b); 0 };
    }, 'it is named') or diag(explain($page));
    is(ids(@{ $page->{clients} }), ids($clients[1]), 'those of its other worker are told');
    is_deeply($page->{nodes}, ['a'], 'a answered for all of its own');
    ok(whole($a, $b), 'all is well again');
    kill KILL => $stopped;
    ok(wait_for { ids(clients($a, user => 'of-workers')) eq ids($clients[1]) && whole($a, $b) }, 'it is gone, and nobody is missing');
    ok(wait_for { $b->nginx->workers == 2 }, 'nginx has another');
};

check 'a node that is away is missing, and back with all of its clients' => sub {
    my $ann = $a->client(sub => 'stay-a');
    my $bob = $b->client(sub => 'stay-b');
    $b->weftd->crash;
    my $page;
    ok(wait_for { $page = page($a); "@{ $page->{missing} }" eq 'b' }, 'it is named') or diag(explain($page));
    is("@{ $page->{nodes} }", 'a', 'and who answered');
    is((scalar grep { $_->{node} eq 'b' } @{ $page->{clients} }), 0, 'its clients are not told');
    my $listed = listed($a, '--user', 'stay-a');
    is($listed->{status}, 0, 'weftctl lists whom there is to list');
    is(ids(@{ $listed->{clients} }), ids($ann), 'those of a');
    is($listed->{err}, "weftctl: node b did not answer, or not for all of its clients\n", 'and says who is missing');
    my $alone = page($a, node => 'b');
    is_deeply([ $alone->{clients}, $alone->{nodes}, $alone->{missing} ], [ [], [], ['b'] ], 'it alone');
    is(page($a, node => 'a')->{missing}[0], undef, 'who asks about another node is not told');
    $b->weftd->start;
    $b->wait_linked;
    ok(whole($a, $b), 'it is back');
    is(ids(clients($a, user => 'stay-b')), ids($bob), 'with who was connected all the time');
};

$t->expect_in_log(qr/link to weftd is down|worker process \d+ exited on signal 9/);
$t->finish;
done_testing;
