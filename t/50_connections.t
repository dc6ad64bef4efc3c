# weft_connections: how many there may be in all, of an address and of a user; over all workers, whatever happens to them.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(shuffle);
use Test::More;
use Weft::Client;
use Weft::Test;

my $t   = Weft::Test->new;
my $key = $t->key_file;

# Clients say themselves where they come from.
my $REAL_IP = "    set_real_ip_from 127.0.0.1;\n    set_real_ip_from unix:;\n    real_ip_header X-Forwarded-For;\n";

# A client that has been greeted, or the payload of the error that it was refused with. from => ADDRESS, sub => USER,
# and what Weft::Client->open takes.
sub try_join {
    my ($nginx, %how) = @_;
    my $from   = delete $how{from};
    my $client = Weft::Client->open(
        port   => $nginx->port,
        ticket => $t->ticket(sub => delete $how{sub} // 'ann'),
        ($from ? (headers => [ 'X-Forwarded-For' => $from ]) : ()),
        %how,
    );
    return answer_of($client);
}

sub answer_of {
    my ($client) = @_;
    my $first = $client->next_message;
    return $client if $first->{type} eq 'connection_established';
    die "the first frame is: $first->{raw}\n" if $first->{type} ne 'error';
    my $close = $client->read_close;
    $client->hang_up;
    return { %{ $first->{payload} }, closed => $close->{code} };
}

sub admitted { return ref $_[0] eq 'Weft::Client' }

sub is_refused {
    my ($answer, $statement) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return fail("$statement: it was admitted") if admitted($answer);
    return is("$answer->{code} $answer->{closed}", '4015 4015', $statement);
}

# Tries until there is room: a connection's end takes a moment to arrive.
sub comes_in {
    my ($nginx, %how) = @_;
    return wait_for { my $answer = try_join($nginx, %how); admitted($answer) && $answer };
}

my $node = $t->node(
    'a',
    workers  => 3,
    http     => "$REAL_IP    weft_drain 24h;\n    weft_reload drain;\n    weft_connections per_ip=3;\n",
    listen   => [ 'unix:' . $t->prefix . '/a.sock' ],
    server   => <<"SERVER",
        location = /free  { weft_websocket; weft_ticket key=$key; weft_connections off; }
        location = /user  { weft_websocket; weft_ticket key=$key; weft_connections per_user=2; }
        location = /user2 { weft_websocket; weft_ticket key=$key; weft_connections per_user=2; }
        location = /one   { weft_websocket; weft_ticket key=$key; weft_connections per_ip=1 per_user=1; }
        location = /echo  { weft_echo; }
SERVER
);
my $nginx = $node->nginx;

check 'an address has so many connections and no more, over all workers' => sub {
    my @in = map { try_join($nginx, from => '192.0.2.1') } 1 .. 3;
    is(scalar(grep { admitted($_) } @in), 3, 'three');
    my $before = $node->status->{connections};
    my $answer;
    is_refused($answer = try_join($nginx, from => '192.0.2.1'), 'the fourth') for 1 .. 12;
    is($answer->{reason}, 'too_many_connections', 'with the reason');
    like($answer->{message}, qr/address/, 'and which limit it is');
    unlike($answer->{message}, qr/\d/, 'without a number');
    my $after = $node->status->{connections};
    is($after->{too_many} - $before->{too_many}, 12, 'refusals are counted');
    is($after->{refused}, $before->{refused}, 'apart from those for credentials');
    ok(admitted(try_join($nginx, from => '192.0.2.2')), 'another address comes in');
    is($in[0]->call('ping')->{type}, 'pong', 'those who are in are served');
    $in[1]->leave;
    my $again = comes_in($nginx, from => '192.0.2.1');
    ok($again, 'when one leaves, one comes in');
    is_refused(try_join($nginx, from => '192.0.2.1'), 'and not two');
};

check 'what was sent behind the handshake of a refused client is not executed' => sub {
    my @in     = map { try_join($nginx, from => '192.0.2.3') } 1 .. 3;
    my $reader = try_join($nginx, from => '192.0.2.4');
    $reader->subscribe('chat:eager');
    my $client = Weft::Client->open(port => $nginx->port, ticket => $t->ticket, headers => [ 'X-Forwarded-For' => '192.0.2.3' ]);
    $client->send_json({ type => 'publish', payload => { channel => 'chat:eager', data => 1 } });
    is_refused(answer_of($client), 'refused');
    $node->publish('chat:eager', '2');
    is($reader->event->{data}, 2, 'only what others published arrives');
};

check 'IPv4 in IPv6 is IPv4' => sub {
    my @in = map { try_join($nginx, from => $_) } '192.0.2.10', '::ffff:192.0.2.10', '192.0.2.10';
    is(scalar(grep { admitted($_) } @in), 3, 'three');
    is_refused(try_join($nginx, from => '::ffff:192.0.2.10'), 'the fourth');
    ok(admitted(try_join($nginx, from => '::ffff:192.0.2.11')), 'another address comes in');
};

check 'IPv6 counts by /64' => sub {
    my @in = map { try_join($nginx, from => "2001:db8:0:1:$_\::1") } 1 .. 3;
    is(scalar(grep { admitted($_) } @in), 3, 'three');
    is_refused(try_join($nginx, from => '2001:db8:0:1:ffff:ffff:ffff:ffff'), 'one more of the same /64');
    ok(admitted(try_join($nginx, from => '2001:db8:0:2::1')), 'another /64 comes in');
};

check 'a user has so many connections, whatever the location and the address' => sub {
    my $n  = 1;
    my @in = map { try_join($nginx, path => $_, sub => 'bob', from => '192.0.3.' . $n++) } qw(/user /user2);
    is(scalar(grep { admitted($_) } @in), 2, 'two');
    for my $path (qw(/user /user2)) {
        is_refused(my $answer = try_join($nginx, path => $path, sub => 'bob', from => '192.0.3.9'), "no more at $path");
        like($answer->{message}, qr/user/, 'which says why');
    }
    ok(admitted(try_join($nginx, path => '/user', sub => 'cid', from => '192.0.3.1')), 'another user comes in');
    $in[0]->hang_up(reset => 1);
    ok(comes_in($nginx, path => '/user2', sub => 'bob', from => '192.0.3.9'), 'when one breaks off, one comes in');
};

check 'where there is no limit anybody comes in, and is counted for places that have one' => sub {
    my @in = map { try_join($nginx, path => '/free', from => '192.0.4.1') } 1 .. 8;
    is(scalar(grep { admitted($_) } @in), 8, 'eight');
    is_refused(try_join($nginx, from => '192.0.4.1'), 'elsewhere, where three may be');
    $_->hang_up for @in[ 0 .. 4 ];
    is_refused(try_join($nginx, from => '192.0.4.1'), 'with three left');
    $in[5]->hang_up;
    ok(comes_in($nginx, from => '192.0.4.1'), 'with two left');
};

check 'all limits of a location hold' => sub {
    my $in = try_join($nginx, path => '/one', from => '192.0.5.1', sub => 'dan');
    ok(admitted($in), 'one');
    like(try_join($nginx, path => '/one', from => '192.0.5.1', sub => 'eve')->{message}, qr/address/, 'not the same address');
    like(try_join($nginx, path => '/one', from => '192.0.5.2', sub => 'dan')->{message}, qr/user/, 'not the same user');
    my $other = try_join($nginx, path => '/one', from => '192.0.5.2', sub => 'eve');
    ok(admitted($other), 'but others');
};

check 'refused credentials are not counted' => sub {
    for (1 .. 5) {
        my $client = Weft::Client->open(port => $nginx->port, ticket => 'x.y.z', headers => [ 'X-Forwarded-For' => '192.0.6.1' ]);
        is($client->read_close->{code}, 4002, 'is 4002');
    }
    my @in = map { try_join($nginx, from => '192.0.6.1') } 1 .. 3;
    is(scalar(grep { admitted($_) } @in), 3, 'three come in all the same');
};

check 'an echo is counted and limited too, and refused by the close alone' => sub {
    my @in = map { Weft::Client->open(port => $nginx->port, path => '/echo', headers => [ 'X-Forwarded-For' => '192.0.7.1' ]) } 1 .. 3;
    for (@in) { $_->send_text('hello'); is($_->next_text, 'hello', 'in') }
    my $close = Weft::Client->open(port => $nginx->port, path => '/echo', headers => [ 'X-Forwarded-For' => '192.0.7.1' ])->read_close;
    is($close->{code}, 4015, 'is 4015');
    is_deeply($close->{messages}, [], 'and nothing else');
};

check 'clients of a unix socket have no address to be counted by, unless real_ip gives one' => sub {
    my @unix = (unix => $t->prefix . '/a.sock');
    my @in   = map { try_join($nginx, @unix) } 1 .. 5;
    is(scalar(grep { admitted($_) } @in), 5, 'five');
    my @known = map { try_join($nginx, @unix, from => '192.0.8.1') } 1 .. 3;
    is(scalar(grep { admitted($_) } @known), 3, 'three that have one');
    is_refused(try_join($nginx, @unix, from => '192.0.8.1'), 'the fourth');
    is_refused(try_join($nginx, from => '192.0.8.1'), 'and by TCP');
};

check 'nothing stays counted when all have gone' => sub {
    ok(wait_for { my $s = $node->status; $s->{zone}{records} == 0 && $s->{connections}{active} == 0 }, 'nothing')
        or diag(explain($node->status));
};

# ---- workers come and go ---------------------------------------------------------------------------------------------

check 'old connections count on when a reload brings new workers, and the new limit holds' => sub {
    my @in  = map { try_join($nginx, from => '192.0.2.20') } 1 .. 3;
    my @old = $nginx->reload;
    $node->wait_linked;
    is_refused(try_join($nginx, from => '192.0.2.20'), 'no more') for 1 .. 3;
    $in[0]->leave;
    my $new = comes_in($nginx, from => '192.0.2.20');
    ok($new, 'when one of the old leaves, one comes in');
    is_refused(try_join($nginx, from => '192.0.2.20'), 'and not two');
    push @old, $nginx->reload(http => "$REAL_IP    weft_drain 24h;\n    weft_reload drain;\n    weft_connections per_ip=5;\n");
    push @in, map { try_join($nginx, from => '192.0.2.20') } 1 .. 2;
    is(scalar(grep { admitted($_) } @in), 5, 'two more by a new limit');
    is_refused(try_join($nginx, from => '192.0.2.20'), 'and not three');
    $_->hang_up for @in[ 1, 2 ];
    $new->hang_up;
    ok(wait_for { !grep { -d "/proc/$_" } @old }, 'the old workers go when their connections have gone');
    my @more = map { comes_in($nginx, from => '192.0.2.20') } 1 .. 3;
    is_refused(try_join($nginx, from => '192.0.2.20'), 'the count is right afterwards');
};

# Without reuseport, so that nobody is left in the queue of a worker that died.
my $pool = $t->node(
    'b',
    workers   => 3,
    reuseport => 0,
    http      => "$REAL_IP    weft_connections total=60 per_ip=30;\n",
    server    => <<"SERVER",
        location = /total { weft_websocket; weft_ticket key=$key; weft_connections total=30; }
        location = /user  { weft_websocket; weft_ticket key=$key; weft_connections per_user=30; }
SERVER
);

# limit => those who come in one after the other under it; all else that could stop them is wide of it.
my %thirty = (
    per_ip   => sub { (from => '192.0.2.30') },
    total    => sub { my ($n) = @_; (path => '/total', from => "192.0.20.$n", sub => "total $n") },
    per_user => sub { my ($n) = @_; (path => '/user', from => "192.0.21.$n", sub => 'una') },
);
my %says = (per_ip => qr/address/, total => qr/server/, per_user => qr/user/);
for my $limit (sort keys %thirty) {
    check "what a killed worker held is free at once, and no more than that: $limit" => sub {
        ok(wait_for { my $s = $pool->status; $s->{connections}{active} == 0 && $s->{workers} == 3 }, 'nobody');
        my $came = 0;
        my $come = sub { try_join($pool->nginx, $thirty{$limit}->(++$came)) };
        my %by;
        my @in;
        while (@in < 30) {
            my $client = $come->();
            last unless admitted($client);
            push @in, $client;
            my $worker = $pool->nginx->worker_of($client);
            next if push(@{ $by{$worker} }, $client) < 20;
            kill 'STOP', $worker;    # it has enough, others are to have some
            wait_for { slurp("/proc/$worker/stat") =~ /\) T / } or die "worker $worker goes on\n";
        }
        kill 'CONT', keys %by;
        is(scalar @in, 30, 'thirty');
        is_refused(my $refused = $come->(), 'no more');
        like($refused->{message}, $says{$limit}, 'by this limit');
        my ($victim) = sort { @{ $by{$b} } <=> @{ $by{$a} } } keys %by;
        my @lost = @{ $by{$victim} };
        note(join ' ', map { scalar @$_ } values %by);
        cmp_ok(scalar @lost, '<', 30, 'a worker that has some, beside another one');
        $t->expect_in_log(qr/worker process $victim exited on signal 9/);
        kill 'STOP', $pool->nginx->pid;    # a master that neither reaps nor starts another one
        kill 'KILL', $victim;
        $_->read_close for @lost;
        my @again = map { $come->() } @lost;
        is(scalar(grep { admitted($_) } @again), scalar @lost, 'as many come in as were lost');
        is_refused($come->(), 'and not one more') for 1 .. 5;
        is($pool->status->{workers}, 2, 'the status says that a worker is missing');
        kill 'CONT', $pool->nginx->pid;
        ok(wait_for { $pool->nginx->workers == 3 && !grep { $_ == $victim } $pool->nginx->workers }, 'the worker is replaced');
        $pool->wait_linked;
        is_refused($come->(), 'which changes nothing') for 1 .. 5;
    };
}

check 'it is right after many are killed' => sub {
    ok(wait_for { $pool->status->{connections}{active} == 0 }, 'nobody');
    $t->expect_in_log(qr/worker process \d+ exited on signal 9/);
    for my $round (1 .. 4) {
        my @in = map { try_join($pool->nginx, from => "192.0.9.$_", sub => "u$_") } 1 .. 20;
        is(scalar(grep { admitted($_) } @in), 20, "round $round: twenty") or diag(explain($pool->status));
        my %before = map { $_ => 1 } $pool->nginx->workers;
        kill 'KILL', keys %before;
        $_->read_close for @in;
        ok(wait_for { 3 == grep { !$before{$_} } $pool->nginx->workers }, 'all are replaced');
        $pool->wait_linked;
    }
    my $status = $pool->status;
    is($status->{workers}, 3, 'three workers');
    is($status->{connections}{active}, 0, 'nobody');
    my @in = map { try_join($pool->nginx, from => '192.0.2.30') } 1 .. 31;
    is(scalar(grep { admitted($_) } @in), 30, 'thirty of one address');
};

# ---- storms ----------------------------------------------------------------------------------------------------------

# Joins as many at once as are asked for: those admitted, and how many were not.
sub storm {
    my ($on, $many) = @_;
    my $ticket    = $t->ticket;
    my @clients   = map { Weft::Client->dial(port => $on->port) } 1 .. $many;
    my $handshake = join "\r\n", 'GET /ws HTTP/1.1', 'Host: localhost', 'Upgrade: websocket', 'Connection: Upgrade',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13', "Authorization: Bearer $ticket", '', '';
    $_->raw_send($handshake) for @clients;
    my (@in, $out);
    for my $client (@clients) {
        $client->_read_until(sub { $client->{in} =~ /\r\n\r\n/ }, 'an answer');
        $client->{in} =~ s{^HTTP/1\.1 101 .*?\r\n\r\n}{}s or die "the answer is: $client->{in}\n";
        my $answer = answer_of($client);
        if (admitted($answer)) { push @in, $client }
        else                   { $out++ if $answer->{closed} == 4015 }
    }
    return (\@in, $out);
}

my $calm = $t->node('c', workers => 3, http => "    weft_connections total=100;\n");
check 'of 500 that come at once, 100 come in' => sub {
    my ($in, $out) = storm($calm->nginx, 500);
    is(scalar @$in, 100, 'a hundred');
    is($out, 400, 'and 400 do not');
    is($calm->status->{connections}{too_many}, 400, 'as the status says');
    my $refused = try_join($calm->nginx);
    is_refused($refused, 'one more');
    like($refused->{message}, qr/server/, 'which says why');

    my $most = 0;
    for my $round (1 .. 5) {
        @$in = shuffle(@$in);
        $_->hang_up(reset => $round % 2) for splice @$in, 0, 40;
        my ($more) = storm($calm->nginx, 120);
        push @$in, @$more;
        $most = @$in if @$in > $most;
    }
    cmp_ok($most, '<=', 100, 'never more than 100 while they come and go');
    my $filled = wait_for {
        my $one = try_join($calm->nginx);
        push @$in, $one if admitted($one);
        @$in == 100;
    };
    ok($filled, 'and 100 in the end');
    is_refused(try_join($calm->nginx), 'and not one more');
    is(scalar(grep { $_->call('ping')->{type} eq 'pong' } @$in), 100, 'all of which are served');
};

# ---- no room ---------------------------------------------------------------------------------------------------------

my $small = $t->nginx('d', zone => '128k', http => "$REAL_IP    weft_connections per_ip=900 per_user=900;\n",
    server => "        location = /off { weft_websocket; weft_ticket key=$key; weft_connections off; }\n");

check 'a zone that is full refuses, says so once, and harms nobody' => sub {
    my $zone = $small->request(GET => '/status')->{json}{zone};
    note("128k has room for $zone->{capacity}");
    my @in;
    my $refused;
    for my $n (1 .. $zone->{capacity}) {
        my $answer = try_join($small, from => sprintf('10.1.%d.%d', $n / 256, $n % 256), sub => "user $n");
        $refused = $answer, last unless admitted($answer);
        push @in, $answer;
    }
    is_refused($refused, 'in the end one is refused');
    is(scalar @in, int($zone->{capacity} / 2), 'when there is room for an address and a user no more');
    is_refused(try_join($small, from => "10.2.0.$_", sub => "nobody $_"), 'and others') for 1 .. 5;
    my $lines = () = $small->error_log =~ /\[error\].*"weft_zone" is full.*expected more than 131072 bytes/g;
    is($lines, 1, 'the log says so once');
    ok(admitted(try_join($small, from => '10.1.0.1', sub => 'user 1')), 'whom it knows may have more connections');
    ok(admitted(try_join($small, path => '/off', from => '10.3.0.1', sub => 'new')), 'and so may those without limits');
    is($in[0]->call('ping')->{type}, 'pong', 'others are served');
    $in[7]->leave;
    ok(comes_in($small, from => '10.2.0.1', sub => 'nobody 1'), 'when one leaves there is room');
    @in = ();
    ok(wait_for { $small->request(GET => '/status')->{json}{zone}{records} == 0 }, 'and it is all given back');
};

my $narrow = $t->nginx('e', connections => 24, http => "    weft_connections total=1000;\n");
check 'a worker without free connections of nginx goes on' => sub {
    $t->expect_in_log(qr/worker_connections are not enough/);
    my ($worker) = $narrow->workers;
    my (@in, $failed);
    for (1 .. 60) {
        my $client = eval { try_join($narrow) };
        if ($client) { push @in, $client }
        else         { $failed++ }
    }
    cmp_ok(scalar @in, '>=', 10, @in . ' come in');
    ok($failed, "$failed do not");
    is_deeply([ $narrow->workers ], [$worker], 'the worker is the same');
    is($in[0]->call('ping')->{type}, 'pong', 'and serves');
    $_->hang_up for splice @in, 0, 5;
    ok(wait_for { eval { try_join($narrow) } }, 'with some gone others come in');
};

# ---- proxy_protocol --------------------------------------------------------------------------------------------------

my $behind = $t->port;
my $proxied = $t->nginx('f', http => <<"HTTP");
    weft_connections per_ip=2;
    server {
        listen 127.0.0.1:$behind proxy_protocol;
        set_real_ip_from 127.0.0.1;
        real_ip_header proxy_protocol;
        location /ws { weft_websocket; weft_ticket key=$key; }
    }
HTTP
check 'the address that proxy_protocol tells counts' => sub {
    my $come = sub {
        my ($from) = @_;
        my $client = Weft::Client->dial(port => $behind);
        $client->raw_send(join "\r\n", "PROXY TCP4 $from 127.0.0.1 4000 80", 'GET /ws HTTP/1.1', 'Host: localhost',
            'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
            'Sec-WebSocket-Version: 13', 'Authorization: Bearer ' . $t->ticket, '', '');
        $client->_read_until(sub { $client->{in} =~ /\r\n\r\n/ }, 'an answer');
        $client->{in} =~ s{^HTTP/1\.1 101 .*?\r\n\r\n}{}s or die "the answer is: $client->{in}\n";
        return answer_of($client);
    };
    my @in = map { $come->('192.0.2.40') } 1 .. 2;
    is(scalar(grep { admitted($_) } @in), 2, 'two');
    is_refused($come->('192.0.2.40'), 'the third');
    my $other = $come->('192.0.2.41');
    ok(admitted($other), 'another address comes in');
    my $plain = try_join($proxied);
    ok(admitted($plain), 'the proxy itself is nobody of these');
};

# ---- configuration ---------------------------------------------------------------------------------------------------

my $conf = $t->nginx('g', stopped => 1);
for (
    [ 'total=1',                       undef ],
    [ 'per_ip=1000000000',             undef ],
    [ 'per_user=3 total=5',            undef ],
    [ 'per_user=3 per_ip=5 total=100', undef ],
    [ 'off',                           undef ],
    [ '',                              qr/number of arguments/ ],
    [ 'on',                            qr/"on" in "weft_connections", expected total=NUMBER, per_ip=NUMBER or per_user=NUMBER/ ],
    [ 'off total=1',                   qr/"off" in "weft_connections", expected .* or off alone/ ],
    [ 'total=1 off',                   qr/"off" in "weft_connections", expected .* or off alone/ ],
    [ 'total=0',                       qr/invalid number "total=0" in "weft_connections", expected 1 to 1000000000/ ],
    [ 'total=',                        qr/invalid number "total="/ ],
    [ 'total=-1',                      qr/invalid number "total=-1"/ ],
    [ 'total=1k',                      qr/invalid number "total=1k"/ ],
    [ 'per_ip=1000000001',             qr/invalid number "per_ip=1000000001"/ ],
    [ 'per_ip=99999999999999999999',   qr/invalid number/ ],
    [ 'per_user=many',                 qr/invalid number "per_user=many".*per_user=100/ ],
    [ 'per_ip=1 per_ip=2',             qr/"per_ip=2" in "weft_connections" is there already/ ],
    [ 'per_location=1',                qr/invalid parameter "per_location=1"/ ],
    [ '5',                             qr/invalid parameter "5"/ ],
    [ 'total=1; weft_connections off', qr/"weft_connections" directive is duplicate/ ],
    )
{
    my ($value, $says) = @$_;
    for my $level (qw(http server location)) {
        my $line = "weft_connections $value;";
        my ($status, $output) = $conf->test_configuration(
            $conf->configuration($level => $level eq 'location' ? "weft_ticket key=$key; $line" : "$line\n"));
        if ($says) { ok($status != 0 && $output =~ $says && $output =~ /try\.conf:\d+/, "$line in $level is refused") or diag($output) }
        else       { is($status, 0, "$line in $level is accepted") or diag($output) }
    }
}

$t->finish;
done_testing;
