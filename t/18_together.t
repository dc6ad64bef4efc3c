# Beside the rest of nginx: access rules, auth_request, limits, redirects, subrequests, small tables.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node(
    'a',
    http => <<'HTTP',
    limit_req_zone  $binary_remote_addr zone=requests:1m rate=1r/m;
    limit_conn_zone $binary_remote_addr zone=connections:1m;
    log_format weft '$status $request_uri $bytes_sent';
HTTP
    server => <<SERVER,
        weft_ticket key=$key;
        access_log weft.log weft;
        location = /allowed  { weft_websocket; allow 127.0.0.1; deny all; }
        location = /denied   { weft_websocket; deny all; }
        location = /yes      { return 204; }
        location = /no       { return 403; }
        location = /asked    { weft_websocket; auth_request /yes; }
        location = /refused  { weft_websocket; auth_request /no; }
        location = /limited  { weft_websocket; limit_req zone=requests; }
        location = /counted  { weft_websocket; limit_conn connections 1; }
        location = /rewritten { rewrite ^ /ws last; }
        location = /tried    { try_files /nonexistent /ws; }
        location = /fallback { error_page 404 = /ws; return 404; }
        location = /returned { weft_websocket; return 200 "returned\\n"; }
        # where a subrequest meets our handlers
        location = /by-auth    { auth_request /ws; proxy_pass http://127.0.0.1:\$server_port/yes; }
        location = /mirrored   { mirror /ws; mirror_request_body off; proxy_pass http://127.0.0.1:\$server_port/yes; }
        location = /mirror-to  { mirror /publish/chat:mirror; proxy_pass http://127.0.0.1:\$server_port/yes; }
        location = /by-status  { auth_request /status; proxy_pass http://127.0.0.1:\$server_port/yes; }
        large_client_header_buffers 4 16k;
SERVER
);
my $nginx  = $node->nginx;
my $ticket = $t->ticket;

sub handshake {
    my ($path, @more) = @_;
    return "GET $path HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        . "Authorization: Bearer $ticket\r\n" . join('', map { "$_\r\n" } @more) . "\r\n";
}

sub works {
    my ($path) = @_;
    my $client = $node->client(with => { path => $path });
    return is($client->call('ping')->{type}, 'pong', "$path serves");
}

check 'allow and deny hold before the upgrade' => sub {
    works('/allowed');
    is($nginx->exchange(handshake('/denied'))->{status}, 403, '/denied is 403');
};
check 'auth_request holds before the upgrade' => sub {
    works('/asked');
    is($nginx->exchange(handshake('/refused'))->{status}, 403, '/refused is 403');
};
check 'limit_req holds before the upgrade' => sub {
    works('/limited');
    is($nginx->exchange(handshake('/limited'))->{status}, 503, 'the second is 503');
};
check 'limit_conn counts requests, and so lets go at the upgrade' => sub {
    my @clients = map { $node->client(with => { path => '/counted' }) } 1 .. 3;
    is($_->call('ping')->{type}, 'pong', 'served') for @clients;
};
check 'redirects within nginx lead to it' => sub { works($_) for qw(/rewritten /tried /fallback) };
check 'a return before it wins' => sub { is($nginx->exchange(handshake('/returned', 'Connection: close'))->{body}, "returned\n", 'as in every location') };

check 'a subrequest is never upgraded, and harms nobody' => sub {
    my @pids = $nginx->workers;
    for my $path (qw(/by-auth /mirrored /by-status)) {
        my $client = Weft::Client->dial(port => $node->port);
        $client->raw_send(handshake($path));
        $client->_read_until(sub { $client->{in} =~ /\r\n\r\n/ }, "an answer of $path");
        unlike($client->{in}, qr{^HTTP/1\.1 101}, "$path is not upgraded") or diag($client->{in});
        note("$path: ", $client->{in} =~ /^(.*)/);
        $client->hang_up;
    }
    works('/allowed');
    is_deeply([ $nginx->workers ], \@pids, 'the worker is the same');
};
check 'a mirror may publish what is posted elsewhere' => sub {
    my $ann = $node->client;
    $ann->subscribe('chat:mirror');
    my $answer = $nginx->request(POST => '/mirror-to', content => '{"n":1}', headers => { 'Content-Type' => 'application/json' });
    is($answer->{status}, 204, 'the request itself is answered by its own handler');
    is($ann->event->{data}{n}, 1, 'and its body is published');
};

check 'frames behind a head that is larger than the first buffer are not lost' => sub {
    for my $size (900, 1000, 1024, 2000, 7000, 15_000) {
        my $client = Weft::Client->dial(port => $node->port);
        my $head   = handshake('/allowed', 'Cookie: ' . 'c' x $size);
        $client->raw_send($head . Weft::Client::frame_bytes(text => '{"type":"ping","id":"behind"}') . Weft::Client::frame_bytes(text => '{"type":"ping","id":"more"}'));
        $client->_read_until(sub { $client->{in} =~ s/^HTTP.*?\r\n\r\n//s }, 'an answer');
        is($client->next_message->{type}, 'connection_established', "a cookie of $size bytes: greeted");
        is($client->next_message->{id}, $_, "$_ is answered") for qw(behind more);
    }
};
check 'an upgrade may follow other requests in the same segment' => sub {
    my $client = Weft::Client->dial(port => $node->port);
    $client->raw_send("GET /yes HTTP/1.1\r\nHost: x\r\n\r\n" x 3 . handshake('/allowed')
            . Weft::Client::frame_bytes(text => '{"type":"ping","id":"piped"}'));
    $client->_read_until(sub { $client->{in} =~ s/^(?:HTTP.*?\r\n\r\n){4}//s }, 'the answers');
    is($client->next_message->{type}, 'connection_established', 'greeted');
    is($client->next_message->{id}, 'piped', 'and served');
};

check 'the access log has a line for each upgrade, at once' => sub {
    my $client = $node->client(with => { path => '/allowed?line=4711' });
    ok(wait_for { slurp($nginx->folder . '/weft.log') =~ m{^101 /allowed\?line=4711}m }, 'while the connection is open');
    $client->leave;
};

check 'HTTP/2 is told that it needs HTTP/1.1' => sub {
    my $port  = $t->port;
    my $plain = $t->nginx('h2', listen => ["127.0.0.1:$port http2"], sidecar => $node->weftd->worker_address);
    my $curl  = `curl --version 2>/dev/null` // '';
    plan skip_all => 'no curl with HTTP/2' unless $curl =~ /\bHTTP2\b/;
    my $answer = qx{curl -sS --http2-prior-knowledge -w '%{http_version} %{http_code}' 'http://127.0.0.1:$port/ws?ticket=$ticket'};
    like($answer, qr{came by HTTP/2\n2 400\z}, 'by an answer that says so');
    my $log = '';
    ok(wait_for { ($log = slurp($plain->folder . '/access.log')) =~ m{"GET /ws\?ticket=\*+ HTTP/2} }, 'its ticket is masked in the access log')
        or diag($log);
    is(Weft::Client->join(port => $plain->port, ticket => $ticket)->call('ping')->{type}, 'pong', 'HTTP/1.1 works beside it');
};

check 'a full connection table turns clients away and harms nobody' => sub {
    $t->expect_in_log(qr/worker_connections are not enough/);
    my $small = $t->nginx('small', sidecar => $node->weftd->worker_address, connections => 24);
    my @clients;
    for (1 .. 60) {
        my $client = eval { Weft::Client->join(port => $small->port, ticket => $ticket) } or next;
        push @clients, $client;
    }
    cmp_ok(scalar @clients, '>', 5,  'some are served');
    cmp_ok(scalar @clients, '<', 24, 'not all');
    is(scalar(grep { $_->call('ping')->{type} eq 'pong' } @clients), scalar @clients, 'those that are stay served');
    $_->hang_up for splice @clients, 0, 5;
    ok(wait_for { eval { Weft::Client->join(port => $small->port, ticket => $ticket) } }, 'and when some leave there is room');
};

check 'without a master process it works too' => sub {
    my $single = $t->nginx('single', sidecar => $node->weftd->worker_address, main => "master_process off;\n", workers => 0);
    my $client = Weft::Client->join(port => $single->port, ticket => $ticket);
    ok(Weft::Test::Node::served($client), 'served');
    is($single->stop('QUIT'), 0, 'and ends on SIGQUIT with status 0');
};

check 'cache processes of nginx are left alone' => sub {
    my $cached = $t->nginx('cached', sidecar => $node->weftd->worker_address,
        http => "    proxy_cache_path cache keys_zone=c:1m;\n    weft_drain 1s;\n    weft_reload drain;\n", helpers => 2);
    my $client = Weft::Client->join(port => $cached->port, ticket => $ticket);
    ok(Weft::Test::Node::served($client), 'served');
    is($cached->stop('QUIT'), 0, 'and it ends with status 0');
};

check 'a debug log changes nothing' => sub {
    my $loud = $t->nginx('loud', sidecar => $node->weftd->worker_address, level => 'debug');
    my ($one, $two) = map { Weft::Client->join(port => $loud->port, ticket => $ticket) } 1 .. 2;
    ok(Weft::Test::Node::served($one), 'linked');
    $two->subscribe('chat:loud');
    $one->must('publish', channel => 'chat:loud', data => 1);
    is($two->event->{data}, 1, 'delivered');
    $_->leave for $one, $two;
    is(index(slurp($loud->folder . '/error.log'), $Weft::Test::KEY), -1, 'nor does it show the key');
};

check 'an accept mutex and other event settings change nothing' => sub {
    for my $events ('accept_mutex on;', 'multi_accept on;', 'worker_aio_requests 1;') {
        my $name  = $events =~ s/\W+/-/gr;
        my $other = $t->nginx("events$name", sidecar => $node->weftd->worker_address, events => $events, connections => 512);
        my ($one, $two) = map { Weft::Client->join(port => $other->port, ticket => $ticket) } 1 .. 2;
        ok(Weft::Test::Node::served($one), "$events: linked");
        $two->subscribe("chat:events");
        $one->raw_send(Weft::Client::frame_bytes(text => '{"type":"publish","payload":{"channel":"chat:events","data":1}}') x 100);
        my $got = grep { $two->event->{data} == 1 } 1 .. 100;
        is($got, 100, "$events: delivered");
        is($_->leave->{code}, 1000, "$events: closed") for $one, $two;
    }
};

$t->finish;
done_testing;
