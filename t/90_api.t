# weft_api: what back ends and operators ask by HTTP, as docs/openapi.yaml describes it. Every exchange of this test is
# judged by that file.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use IPC::Open2 qw(open2);
use JSON::PP;
use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my %keys = (
    shop  => { channels => { 'chat:*' => ['publish'] } },
    desk  => { channels => { 'chat:*' => [ 'history', 'presence' ] }, rpc => [ 'weft.channels', 'weft.clients', 'weft.refresh' ] },
    nodes => { rpc => ['weft.node*'] },
    all   => { channels => { '**' => ['*'] }, rpc => ['weft.*'] },
);
my $keys = spew($t->prefix . '/api.keys',
    join '', map { "$_ sha256:" . sha256_hex("key-of-$_") . ' ' . encode_json($keys{$_}) . "\n" } sort keys %keys);
my $rules = <<'RULES';
    weft_channel chat:*    { publish on; presence on debounce=0s; history 1000 10m; max_size 10k; }
    weft_channel counted:* { publish on; presence counts; }
    weft_channel plain:*   { publish on; }
    weft_channel many:*    { }
    weft_channel news:*    { publish off; }
RULES
my ($a, $b) = $t->mesh('a', 'b', {
    workers  => 2,
    rules    => $rules,
    location => "weft_ticket key=$key; weft_rate off; weft_subscriptions 2000;",
    server   => <<"SERVER",
        client_max_body_size 4m;
        location /weft/api/ { weft_api; }
        location /keyed/    { weft_api; weft_api_key $keys; }
        location /closed/   { weft_api; deny all; }
        location /small/    { weft_api; client_max_body_size 1k; }
SERVER
});

# ---- the judge -------------------------------------------------------------------------------------------------------

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $pid  = open2(my $from_judge, my $to_judge, 'python3', "$FindBin::Bin/lib/openapi.py", "$FindBin::Bin/../docs/openapi.yaml");
END { if ($pid) { local $?; close $to_judge; waitpid $pid, 0 } }
my $document = $json->decode(scalar readline $from_judge);
my %seen;    # command => status => 1

# Whether an answer is as described, and the request was, unless it is refused as malformed.
sub judge {
    my ($command, $request, $answer) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 2;
    $seen{$command}{ $answer->{status} } = 1;
    print {$to_judge} $json->encode({
        command => $command, request => $request, status => $answer->{status}, headers => $answer->{headers},
        type => $answer->{headers}{'content-type'} // '', body => $answer->{content},
    }), "\n";
    $to_judge->flush;
    my $judged = $json->decode(scalar readline $from_judge);
    fail("/$command answers as described") || diag("$_\n$answer->{status} $answer->{content}") for @{ $judged->{faults} };
    if ($answer->{status} < 300 && $judged->{request}) {
        fail("/$command takes what is described") || diag("$judged->{request}\n$request");
    }
    return $judged->{request};
}

# Sends a command; `$where` is a node, or [node, path of the location, headers].
sub ask {
    my ($where, $command, $parameters) = @_;
    my ($node, $path, %headers) = ref $where eq 'ARRAY' ? @$where : ($where, '/weft/api/');
    my $request = ref $parameters ? $json->encode($parameters) : $parameters;
    my $answer  = $node->nginx->request(POST => "$path$command", content => $request,
        headers => { 'Content-Type' => 'application/json', %headers });
    judge($command, $request, $answer);
    return $answer;
}
# The same of a command that succeeds: its answer.
sub told {
    my ($where, $command, $parameters) = @_;
    my $answer = ask($where, $command, $parameters // {});
    die "$command: $answer->{status} $answer->{content}\n" if $answer->{status} >= 300;
    return $answer->{json};
}
sub all_channels {
    my ($node, %parameters) = @_;
    my ($pages, @channels) = (0);
    while (1) {
        my $page = told($node, 'channels', \%parameters);
        push @channels, @{ $page->{channels} };
        ++$pages;
        return ($pages, @channels) if $page->{complete};
        $parameters{after} = $page->{next};
    }
}
# What a value is made of: names and types, of arrays by their first element.
sub shape {
    my ($value) = @_;
    return { map { $_ => shape($value->{$_}) } keys %$value } if ref $value eq 'HASH';
    return [ map { shape($_) } @$value[ 0 .. (@$value ? 0 : -1) ] ] if ref $value eq 'ARRAY';
    return JSON::PP::is_bool($value) ? 'boolean' : $json->encode($value) =~ /^"/ ? 'string' : 'number';
}
# Waits until a count is what it should be.
sub subscribers {
    my ($node, $channel, $want) = @_;
    my $got;
    my $reached = wait_for {
        my ($entry) = grep { $_->{channel} eq $channel } @{ told($node, 'channels', { pattern => $channel })->{channels} };
        $got = $entry ? $entry->{subscribers} : 0;
        $got == $want;
    };
    diag("$channel: $got subscribers, not $want") unless $reached;
    return $reached;
}
# Each node knows the other, with all its shards.
sub meshed { my (@nodes) = @_;
    return wait_for { !grep { @{ told($_, 'channels', {})->{nodes} } < @nodes } @nodes } }
ok(meshed($a, $b), 'the nodes have met');

# ---- the description -------------------------------------------------------------------------------------------------

check 'docs/openapi.yaml is an OpenAPI 3.1 document, and has the commands that the server knows' => sub {
    is_deeply($document->{faults}, [], 'nothing is wrong with it');
    my $answer = $a->nginx->request(POST => '/weft/api/explode', content => '{}');
    is($answer->{status}, 404, 'an unknown command: 404');
    is($answer->{json}{code}, 4018, 'code 4018');
    my ($names) = $answer->{json}{message} =~ /expected (.*) at the path's end/;
    is_deeply([ sort split /, /, $names // '' ], $document->{commands}, 'the commands that it names');
};

# ---- publications ----------------------------------------------------------------------------------------------------

check 'publish delivers data byte for byte, once for a message_id' => sub {
    my $ann = $b->client(sub => 'ann');
    $ann->subscribe('chat:bytes');
    my $body   = '{"channel":"chat:bytes", "data":{"price": 1.50e400,"s":"\u00e4"} ,"message_id":"order-1"}';
    my $answer = ask($a, 'publish', $body);
    is($answer->{status}, 202, 'accepted') or diag $answer->{content};
    is($answer->{json}{message_id}, 'order-1', 'by its id');
    my $event = $ann->event;
    like($event->{raw}, qr/"data":\{"price": 1\.50e400,"s":"\\u00e4"\}/, 'the bytes');
    ok(!exists $event->{publisher}, 'without a publisher');
    is(told($a, 'publish', $body)->{message_id}, 'order-1', 'the same again is answered');
    told($a, 'publish', { channel => 'chat:bytes', data => 'end' });
    is($ann->event->{data}, 'end', 'and not delivered again');
    is(told($a, 'publish', { channel => 'news:x', data => 1 })->{position} =~ /./, 1, 'what clients may not publish a back end may');
};

check 'broadcast publishes to each channel, with an answer for each' => sub {
    my $ann = $b->client(sub => 'ann');
    $ann->subscribe("chat:b$_") for 1 .. 3;
    my $answer = told($a, 'broadcast', { channels => [ 'chat:b1', 'chat:b2', 'nosuch:x', 'chat:b3' ], data => { n => 7 } });
    is($answer->{failed}, 1, 'one failed');
    is_deeply([ map { [ $_->{channel}, $_->{status} ] } @{ $answer->{answers} } ],
        [ [ 'chat:b1', 202 ], [ 'chat:b2', 202 ], [ 'nosuch:x', 404 ], [ 'chat:b3', 202 ] ], 'in their order');
    is($answer->{answers}[2]{error}{code}, 4007, 'with the reason');
    my %got = map { $_->{channel} => $_->{data}{n} } map { $ann->event } 1 .. 3;
    is_deeply(\%got, { map { ("chat:b$_" => 7) } 1 .. 3 }, 'all are delivered');
};

check 'a batch answers each command in order, and goes on behind one that fails' => sub {
    my $answer = told($a, 'batch', { commands => [
        { command => 'publish',   channel => 'chat:batch',  data    => 1 },
        { command => 'publish',   channel => 'nosuch:y',    data    => 2 },
        { command => 'publish',   channel => 'chat:batch',  data    => 3 },
        { command => 'broadcast', channels => [ 'chat:batch', 'chat:other' ], data => 4 },
        { command => 'history',   channel => 'chat:batch' },
        { command => 'history',   channel => 'plain:none' },
        { command => 'presence_stats', channel => 'chat:batch' },
        { command => 'disconnect', user => 'nobody' },
        { command => 'channels' },
        { command => 'nodes' },
        { command => 'clients', user => 'nobody', channel => 'chat:batch', node => 'b', after => '0' x 16, limit => 1 },
    ] });
    my @answers = @{ $answer->{answers} };
    is_deeply([ map { $_->{status} } @answers ], [ 202, 404, 202, 200, 200, 403, 200, 202, 200, 200, 200 ], 'eleven answers');
    is($answer->{failed}, 2, 'two failed');
    is_deeply([ map { $_->{data} } @{ $answers[4]{answer}{events} } ], [ 1, 3, 4 ], 'history has what came before it');
    is(scalar @{ $answers[3]{answer}{answers} }, 2, 'a broadcast within has answers of its own');
    is($answers[5]{error}{reason}, 'permission_denied', 'an error is told where it belongs');
};

check 'a batch of which one command is malformed is not carried out' => sub {
    my $answer = ask($a, 'batch', { commands => [
        { command => 'publish', channel => 'chat:undone', data => 1 },
        { command => 'publish', channel => 'a b',         data => 1 } ] });
    is($answer->{status}, 400, 'refused');
    like($answer->{json}{message}, qr/^batch: command 2: "channel" /, 'says which') or diag $answer->{content};
    is_deeply(told($a, 'history', { channel => 'chat:undone' })->{events}, [], 'nothing was published');
};

check 'answers to a batch have a bound together' => sub {
    told($a, 'publish', { channel => 'chat:heavy', data => 'x' x 9000 }) for 1 .. 6;
    my $answer = told($a, 'batch', { commands => [ map { { command => 'history', channel => 'chat:heavy' } } 1 .. 40 ] });
    my %statuses;
    $statuses{ $_->{status} }++ for @{ $answer->{answers} };
    is_deeply([ sort keys %statuses ], [ 200, 413 ], 'what is beyond it is told so');
    cmp_ok(length $json->encode($answer), '<', 1.2 * (1 << 20), 'about 1 MiB');
};

# ---- channels --------------------------------------------------------------------------------------------------------

check 'history pages through all, in order' => sub {
    told($a, 'batch', { commands => [ map { { command => 'publish', channel => 'chat:past', data => $_ } } 1 .. 300 ] });
    my (@data, %after);
    while (1) {
        my $page = told($b, 'history', { channel => 'chat:past', limit => 70, %after });
        ok(@{ $page->{events} } <= 70, 'no more than asked for');
        push @data, map { $_->{data} } @{ $page->{events} };
        ok($page->{recovered}, 'nothing is missing');
        last if $page->{complete};
        %after = (after => $page->{position});
    }
    is_deeply(\@data, [ 1 .. 300 ], 'all, from the other node');
};

check 'presence and its numbers are those of all nodes' => sub {
    my @there = ((map { $_->client(sub => 'ann') } $a, $b), $a->client(sub => 'bob', info => { name => 'Bob' }));
    for my $client (@there) { $client->subscribe('chat:here'); $client->subscribe('counted:here') }
    ok(wait_for { told($b, 'presence_stats', { channel => 'chat:here' })->{count} == 3 }, 'three connections');
    is(told($b, 'presence_stats', { channel => 'chat:here' })->{users}, 2, 'of two users');
    my (@members, %after);
    while (1) {
        my $page = told($b, 'presence', { channel => 'chat:here', limit => 1, %after });
        push @members, @{ $page->{members} };
        last if $page->{complete};
        %after = (after => $page->{members}[-1]{id});
    }
    is_deeply([ sort map { $_->{user} } @members ], [qw(ann ann bob)], 'page by page');
    is_deeply([ map { $_->{info} } grep { $_->{user} eq 'bob' } @members ], [ { name => 'Bob' } ], 'with what the ticket says');
    ok(wait_for { told($b, 'presence', { channel => 'counted:here' })->{count} == 3 }, 'a channel that only counts');
    my $counted = told($b, 'presence_stats', { channel => 'counted:here' });
    is_deeply($counted, { channel => 'counted:here', count => 3 }, 'tells no more');
    is(ask($b, 'presence', { channel => 'plain:here' })->{status}, 403, 'a channel without presence: 403');
};

check 'channels counts subscribers over workers and nodes' => sub {
    my @clients = map { $_->client_per_worker } $a, $b;
    $_->subscribe('chat:busy') for @clients;
    my $double = $a->client;
    $double->subscribe($_) for qw(chat:busy plain:quiet);
    ok(subscribers($_, 'chat:busy', 5), 'five, says ' . $_->name) for $a, $b;
    my $page = told($a, 'channels', { pattern => 'plain:*' });
    is_deeply($page->{channels}, [ { channel => 'plain:quiet', subscribers => 1 } ], 'a pattern');
    is_deeply([ sort @{ $page->{nodes} } ], [qw(a b)], 'says whose they are');
    is_deeply($page->{missing}, [], 'and that nobody is missing');
    $double->call('unsubscribe', channel => 'chat:busy');
    $clients[0]->leave;
    ok(subscribers($b, 'chat:busy', 3), 'three, once two have left');
};

check 'paging through 3,000 channels loses and repeats none while others come and go' => sub {
    my @clients = map { $a->client } 1, 2;
    my $visitor = $b->client;
    for my $n (0 .. 2999) {
        my $client = $clients[ $n % 2 ];
        $client->send_json({ type => 'subscribe', id => "s$n", payload => { channel => sprintf('many:%04d', $n) } });
    }
    for my $client (@clients) { $client->expect('subscribed') for 1 .. 1500 }
    my ($round, $pages, @names) = (0, 0);
    my %parameters = (pattern => 'many:*', limit => 170);
    while (1) {
        my $page = told($b, 'channels', \%parameters);
        push @names, map { $_->{channel} } @{ $page->{channels} };
        ++$pages;
        last if $page->{complete};
        $parameters{after} = $page->{next};
        # Before and behind the page, and between names that stay.
        for my $place ('0000', '1499', '2999') {
            my $name = "many:$place-" . $round % 3;
            $visitor->call($round % 2 ? 'unsubscribe' : 'subscribe', channel => $name);
        }
        ++$round;
    }
    cmp_ok($pages, '>=', 18, "$pages pages");
    my %times;
    $times{$_}++ for @names;
    is((scalar grep { $_ > 1 } values %times), 0, 'none is repeated');
    my @stayed = grep { /^many:\d{4}$/ } @names;
    is(scalar @stayed, 3000, 'none of those that stay is lost');
    is_deeply(\@names, [ sort @names ], 'they are sorted');
    my (undef, @some) = all_channels($a, pattern => 'many:29*', limit => 1000);
    is((scalar grep { $_->{channel} =~ /^many:29\d\d$/ } @some), 100, 'a pattern within a segment');
};

# ---- clients ---------------------------------------------------------------------------------------------------------

check 'refresh changes the grants of live connections, on every node' => sub {
    my @ann = map { $_->client(sub => 'ann') } $a, $b;
    my $bob = $b->client(sub => 'bob');
    for my $client (@ann, $bob) { $client->subscribe("chat:$_") for qw(keeps loses) }
    is(ask($a, 'refresh', { user => 'ann', grants => { channels => { 'chat:keeps' => ['*'] }, rpc => [] } })->{status}, 202, 'accepted');
    for my $client (@ann) {
        my $left = $client->expect('unsubscribed')->{payload};
        is("$left->{channel} $left->{code}", 'chat:loses 4010', 'she has to leave');
        is($client->call('subscribe', channel => 'chat:loses')->{payload}{code}, 4010, 'and may not come back');
        is($client->call('publish', channel => 'chat:keeps', data => 1)->{type}, 'published', 'what is granted still works');
    }
    is($bob->call('publish', channel => 'chat:loses', data => 1)->{type}, 'published', 'others are as before');
    my $late = $a->client(sub => 'ann');
    is($late->call('subscribe', channel => 'chat:loses')->{type}, 'subscribed', 'who comes later has what her ticket says');
    my $one = $ann[1]->greeting->{client_id};
    told($a, 'refresh', { client => $one, grants => { channels => { '**' => ['*'] } } });
    ok(wait_for { $ann[1]->call('subscribe', channel => 'chat:loses')->{type} eq 'subscribed' }, 'more can be granted, to one connection');
    is($ann[0]->call('subscribe', channel => 'chat:loses')->{payload}{code}, 4010, 'alone');
};

check 'refresh gives connections another end' => sub {
    my $ann = $b->client(sub => 'carl');
    told($a, 'refresh', { user => 'carl', seconds => 1 });
    is($ann->read_close->{code}, 4012, 'they end as if the ticket had');
};

check 'an administrator\'s client may ask what its ticket grants' => sub {
    my $admin = $a->client(sub => 'root', rpc => ['weft.*']);
    my $user  = $a->client(sub => 'user', rpc => ['echo']);
    $user->subscribe('chat:admin');
    my $answer = $admin->call('rpc', method => 'weft.channels', params => { pattern => 'chat:admin' });
    is_deeply($answer->{payload}{result}{channels}, [ { channel => 'chat:admin', subscribers => 1 } ], 'weft.channels')
        or diag $answer->{raw};
    is($admin->call('rpc', method => 'weft.node')->{payload}{result}{node}, 'a', 'weft.node');
    is(scalar @{ $admin->call('rpc', method => 'weft.nodes')->{payload}{result}{nodes} }, 2, 'weft.nodes');
    is($admin->call('rpc', method => 'weft.presence_stats', params => { channel => 'chat:admin' })->{payload}{result}{count}, 1,
        'weft.presence_stats');
    is($admin->call('rpc', method => 'weft.channels', params => { limit => 0 })->{payload}{code}, 4006, 'bad parameters: 4006');
    is($user->call('rpc', method => 'weft.channels')->{payload}{code}, 4010, 'others: 4010');
};

# ---- the cluster -----------------------------------------------------------------------------------------------------

check 'node and nodes say what the mesh does' => sub {
    my $node = told($a, 'node');
    is($node->{node}, 'a', 'its name');
    is($node->{shards}, $ENV{WEFT_SHARDS} || 1, 'its shards');
    is($node->{workers}, 2, 'its workers');
    is($node->{peers}, 1, 'its peers');
    cmp_ok($node->{published}, '>', 300, 'what it accepted');
    my @clients = map { $b->client } 1 .. 3;
    $_->subscribe('plain:nodes') for @clients;
    my $nodes = told($a, 'nodes')->{nodes};
    is_deeply([ map { $_->{node} } @$nodes ], [qw(a b)], 'both, itself first');
    is_deeply([ map { $_->{up} } @$nodes ], [ JSON::PP::true, JSON::PP::true ], 'are up');
    ok(wait_for { told($a, 'nodes')->{nodes}[1]{connections} >= 3 }, 'with connections');
    ok(wait_for { told($a, 'nodes')->{nodes}[1]{subscriptions} >= 3 }, 'and subscriptions');
};

# ---- what is refused -------------------------------------------------------------------------------------------------

my @wrong = (
    # command, parameters, what the error names
    [ 'publish',        '',                                              qr/JSON object.*expected a value/ ],
    [ 'publish',        '[1]',                                           qr/expected a JSON object/ ],
    [ 'publish',        '{"channel":"chat:x","data":}',                  qr/not valid JSON at byte 27: expected a value/ ],
    [ 'publish',        '{"channel":"chat:x","data":1} x',               qr/not valid JSON at byte/ ],
    [ 'publish',        '{"channel":"chat:x","data":1,}',                qr/not valid JSON at byte/ ],
    [ 'publish',        { data => 1 },                                   qr/"channel" is missing: expected a string of 1 to 255 bytes/ ],
    [ 'publish',        { channel => 7, data => 1 },                     qr/"channel" is not a string/ ],
    [ 'publish',        { channel => 'a b', data => 1 },                 qr/"channel".*expected/ ],
    [ 'publish',        { channel => 'chat:x' },                         qr/"data" is missing: expected any JSON value/ ],
    [ 'publish',        { channel => 'chat:x', data => 1, message_id => 'x' x 65 }, qr/"message_id".*64 bytes/ ],
    [ 'broadcast',      { data => 1 },                                   qr/"channels" is missing: expected an array of 1 to 1000 channel names/ ],
    [ 'broadcast',      { channels => 'chat:x', data => 1 },             qr/"channels" is no array/ ],
    [ 'broadcast',      { channels => [], data => 1 },                   qr/"channels" is empty/ ],
    [ 'broadcast',      { channels => [ 'chat:x', 7 ], data => 1 },      qr/"channels" holds what is no channel name/ ],
    [ 'broadcast',      { channels => [ map { "chat:$_" } 1 .. 1001 ], data => 1 }, qr/"channels" is too long/ ],
    [ 'batch',          {},                                              qr/"commands" is missing: expected an array of 1 to 1000 commands/ ],
    [ 'batch',          { commands => [ {} ] },                          qr/command 1: "command" is missing: expected one of publish/ ],
    [ 'batch',          { commands => [7] },                             qr/command 1: expected a JSON object/ ],
    [ 'batch',          { commands => [ { command => 'node' }, { command => 'explode' } ] }, qr/command 2: "command" is unknown/ ],
    [ 'batch',          { commands => [ { command => 'batch', commands => [] } ] }, qr/no batch within a batch/ ],
    [ 'batch',          { commands => [ map { { command => 'broadcast', data => 1, channels => [ map { "chat:$_" } 1 .. 600 ] } } 1, 2 ] },
                                                                         qr/command 2: .*more than 1000 operations/ ],
    [ 'history',        {},                                              qr/"channel" is missing/ ],
    [ 'history',        { channel => 'chat:x', limit => 0 },             qr/"limit" is not usable: expected a whole number from 1 to 1000/ ],
    [ 'history',        { channel => 'chat:x', limit => '5' },           qr/"limit" is not usable/ ],
    [ 'history',        { channel => 'chat:x', after => 5 },             qr/"after" is not a string/ ],
    [ 'history',        { channel => 'chat:x', after => '?' },           qr/"after" is no position/ ],
    [ 'presence',       { channel => 'chat:x', after => 'x' },           qr/"after" is not usable: expected a member's id/ ],
    [ 'presence',       { channel => 'chat:x', limit => 1001 },          qr/"limit" is not usable/ ],
    [ 'presence_stats', {},                                              qr/"channel" is missing/ ],
    [ 'channels',       { pattern => 'chat**' },                         qr/"pattern" is no pattern of channels/ ],
    [ 'channels',       { pattern => '' },                               qr/"pattern" is no text/ ],
    [ 'channels',       { limit => 5000 },                               qr/"limit" is not usable: expected a whole number from 1 to 1000/ ],
    [ 'channels',       { after => 'x' x 256 },                          qr/"after" is longer than 255 bytes/ ],
    [ 'clients',        { user => 7 },                                   qr/"user" is not a string: expected a string of 1 to 255 bytes/ ],
    [ 'clients',        { user => '' },                                  qr/"user" is empty/ ],
    [ 'clients',        { user => 'x' x 256 },                           qr/"user" is too long: expected a string of 1 to 255 bytes/ ],
    [ 'clients',        { channel => 'a b' },                            qr/"channel".*expected/ ],
    [ 'clients',        { node => '' },                                  qr/"node" is empty/ ],
    [ 'clients',        { after => 'xyz' },                              qr/"after" is no client id: expected "next" of the page before/ ],
    [ 'clients',        { after => 7 },                                  qr/"after" is no text/ ],
    [ 'clients',        { limit => 1001 },                               qr/"limit" is not usable: expected a whole number from 1 to 1000/ ],
    [ 'disconnect',     {},                                              qr/expected one of user, client and ticket/ ],
    [ 'disconnect',     { client => 'xyz' },                             qr/"client" is no client id: expected 16 hexadecimal digits/ ],
    [ 'ban',            { user => 'a' },                                 qr/"seconds" is missing: expected a whole number/ ],
    [ 'ban',            { client => '00000000000000ff', seconds => 1 },  qr/can't be banned/ ],
    [ 'unban',          { user => 'a', ticket => 'b' },                  qr/expected one of user, client and ticket/ ],
    [ 'unsubscribe',    { user => 'a' },                                 qr/expected a channel/ ],
    [ 'refresh',        { user => 'a' },                                 qr/nothing to refresh: expected "grants", "seconds" or both/ ],
    [ 'refresh',        { user => 'a', grants => 7 },                    qr/"grants" is not usable/ ],
    [ 'refresh',        { user => 'a', grants => { channels => { 'x' => ['fly'] } } }, qr/"grants" is not usable.*expected/ ],
    [ 'refresh',        { user => 'a', seconds => -1 },                  qr/"seconds" is not usable/ ],
    [ 'refresh',        { grants => {} },                                qr/expected one of user, client and ticket/ ],
    [ 'node',           '7',                                             qr/expected a JSON object/ ],
    [ 'nodes',          '{',                                             qr/not valid JSON/ ],
);
check 'each wrong parameter is named, with what was expected' => sub {
    for (@wrong) {
        my ($command, $parameters, $says) = @$_;
        my $answer = ask($a, $command, $parameters);
        my $shown  = ref $parameters ? substr($json->encode($parameters), 0, 60) : $parameters;
        is($answer->{status}, 400, "$command $shown: 400") or diag $answer->{content};
        is($answer->{json}{code}, 4006, 'code 4006');
        like($answer->{json}{message}, $says, 'says why');
    }
};

check 'what is described as wrong is refused' => sub {
    for (@wrong) {
        my ($command, $parameters) = @$_;
        next if !ref $parameters || grep { defined $parameters->{$_} && !ref $parameters->{$_} } qw(after pattern);
        next if $command eq 'batch';
        my $request = $json->encode($parameters);
        ok(judge($command, $request, ask($a, $command, $parameters)), "$command " . substr($request, 0, 60));
    }
};

check 'an unknown channel, data that is too long, a body that is too large' => sub {
    my $unknown = ask($a, 'publish', { channel => 'nosuch:x', data => 1 });
    is("$unknown->{status} $unknown->{json}{code}", '404 4007', 'no rule');
    my $long = ask($a, 'publish', { channel => 'chat:x', data => 'x' x 11_000 });
    is("$long->{status} $long->{json}{code}", '413 4005', 'longer than max_size');
    is(ask([ $a, '/small/' ], 'publish', { channel => 'chat:x', data => 'x' x 2_000 })->{status}, 413, 'beyond client_max_body_size');
    is($a->nginx->request(GET => '/weft/api/node')->{status}, 405, 'GET: 405');
    is($a->nginx->request(POST => '/closed/node', content => '{}')->{status}, 403, "nginx's own access rules come first");
};

check 'an API key does what it grants, and nothing else' => sub {
    my %parameters = (
        publish => { channel => 'chat:keyed', data => 1 }, broadcast => { channels => ['chat:keyed'], data => 1 },
        history => { channel => 'chat:keyed' }, presence => { channel => 'chat:keyed' }, presence_stats => { channel => 'chat:keyed' },
        channels => {}, clients => {}, node => {}, nodes => {}, disconnect => { user => 'x' }, unban => { user => 'x' },
        ban => { user => 'x', seconds => 1 }, unsubscribe => { user => 'x', channel => 'chat:x' }, refresh => { user => 'x', seconds => 60 },
    );
    my %may = (
        shop  => [qw(publish broadcast)],
        desk  => [qw(history presence presence_stats channels clients refresh)],
        nodes => [qw(node nodes)],
        all   => [ keys %parameters ],
    );
    for my $name (sort keys %may) {
        my $as = [ $a, '/keyed/', 'X-API-Key' => "key-of-$name" ];
        for my $command (sort keys %parameters) {
            my $may    = grep { $_ eq $command } @{ $may{$name} };
            my $answer = ask($as, $command, $parameters{$command});
            if ($command eq 'broadcast') {
                is($answer->{json}{answers}[0]{status}, $may ? 202 : 403, "$name: $command");
                next;
            }
            is($answer->{status}, $may ? (200, 202)[ $answer->{status} == 202 ] : 403, "$name: $command") or diag $answer->{content};
            is($answer->{json}{code}, 4010, 'code 4010') unless $may;
        }
        my $batch = told($as, 'batch', { commands => [ map { { command => $_, %{ $parameters{$_} } } } qw(publish history node) ] });
        my @want  = map { my $command = $_; (grep { $_ eq $command } @{ $may{$name} }) ? 1 : 0 } qw(publish history node);
        is_deeply([ map { $_->{status} < 300 ? 1 : 0 } @{ $batch->{answers} } ], \@want, "$name: batch");
    }
    my $elsewhere = ask([ $a, '/keyed/', 'X-API-Key' => 'key-of-shop' ], 'publish', { channel => 'plain:x', data => 1 });
    is($elsewhere->{status}, 403, 'nor to another channel');
    for my $command (@{ $document->{commands} }) {
        my $none = ask([ $a, '/keyed/' ], $command, $parameters{$command} // { commands => [ { command => 'node' } ] });
        is($none->{status}, 401, "$command without a key: 401");
    }
    is(ask([ $a, '/keyed/', Authorization => 'Bearer key-of-nodes' ], 'node', {})->{status}, 200, 'a key may come as a bearer');
};

check 'the examples of docs/api.md run, and answer as shown' => sub {
    my $page = slurp("$FindBin::Bin/../docs/api.md");
    my $ada  = $a->client(sub => 'ada', info => { name => 'Ada' });
    my $bob  = $b->client(sub => 'bob', jti => 'ticket-7', info => { name => 'Bob' });
    $ada->subscribe('chat:lobby');
    $bob->subscribe('chat:lobby');
    ok(subscribers($a, 'chat:lobby', 2), 'two are in the lobby');
    my $port = $a->port;
    my %shown;
    while ($page =~ /^```sh\n(curl .*?)^```\n(?:\n```json\n(.*?)^```\n)?/msg) {
        my ($command, $answer) = ($1, $2);
        $command =~ s/127\.0\.0\.1:8080/127.0.0.1:$port/g;
        my ($name) = $command =~ m{/weft/api/(\w+)} or next;
        $shown{$name} = 1;
        my $got = qx{$command};
        is($?, 0, "curl …/$name");
        next unless $answer;
        is_deeply(shape($json->decode($got)), shape($json->decode($answer)), 'answers as shown') or diag $got;
    }
    is_deeply([ sort keys %shown ], $document->{commands}, 'there is one of each command');
};

check 'with weftd away it is 503 with Retry-After, and 200 when it is back' => sub {
    my %some = (
        publish => { channel => 'chat:x', data => 1 }, history => { channel => 'chat:x' }, presence => { channel => 'chat:x' },
        presence_stats => { channel => 'chat:x' }, channels => {}, clients => {}, node => {}, nodes => {}, disconnect => { user => 'x' },
        ban => { user => 'x', seconds => 1 }, unban => { user => 'x' }, unsubscribe => { user => 'x', channel => 'chat:x' },
        refresh => { user => 'x', seconds => 9 }, broadcast => { channels => [ 'chat:x', 'chat:y' ], data => 1 },
        batch => { commands => [ { command => 'node' }, { command => 'publish', channel => 'chat:x', data => 1 } ] },
    );
    $a->weftd->crash;
    for my $command (sort keys %some) {
        my $answer;
        # Both workers must have noticed; which one answers is up to the kernel.
        ok(wait_for {
            $answer = $a->nginx->request(POST => "/weft/api/$command", content => $json->encode($some{$command}));
            $answer->{status} == 503 && $answer->{headers}{'retry-after'};
        }, "$command: 503 with Retry-After") or diag "$answer->{status} $answer->{content}";
        judge($command, $json->encode($some{$command}), $answer);
        is($answer->{json}{code}, 4017, 'code 4017');
    }
    my $page = told($b, 'channels');
    ok(wait_for { $page = told($b, 'channels'); "@{ $page->{missing} }" eq 'a' }, 'the other node says who is missing');
    is("@{ $page->{nodes} }", 'b', 'and whom it counts');
    ok(wait_for { my $nodes = told($b, 'nodes')->{nodes}; @$nodes == 2 && !$nodes->[1]{up} }, 'and that it is down');
    $a->weftd->start;
    $a->wait_linked;
    ok(wait_for { ask($a, 'node', {})->{status} == 200 }, 'it answers again');
    ok(meshed($a, $b), 'as does the mesh');
    my $ann = $a->client;
    $ann->subscribe('plain:back') ;
    ok(subscribers($b, 'plain:back', 1), 'and counts');
};

check 'a client that goes away while its request waits harms nobody' => sub {
    $a->weftd->signal('STOP');
    my $body    = $json->encode({ commands => [ map { { command => 'publish', channel => 'chat:gone', data => $_ } } 1 .. 50 ] });
    my @clients = map { Weft::Client->dial(port => $a->port) } 1 .. 10;
    $_->raw_send("POST /weft/api/batch HTTP/1.1\r\nHost: x\r\nContent-Length: " . length($body) . "\r\n\r\n$body") for @clients;
    $clients[$_]->hang_up(reset => $_ % 2) for 0 .. $#clients;
    $a->weftd->signal('CONT');
    ok(wait_for { ask($a, 'publish', { channel => 'chat:gone', data => 1 })->{status} == 202 }, 'served on');
};

check 'every command was answered as described, well and badly' => sub {
    for my $command (@{ $document->{commands} }) {
        my @statuses = sort keys %{ $seen{$command} };
        ok((grep { $_ < 300 } @statuses), "$command: answered (@statuses)");
        ok((grep { $_ == 400 } @statuses), "$command: refused");
    }
};

$t->expect_in_log(qr/link to weftd is down/);
$t->finish;
done_testing;
