# The doors' manners as HTTP: what they make of other methods, old clients, half-open and shared connections, pages of
# other origins; and the examples of docs/streams.md.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Socket qw(SHUT_WR);
use Test::More;
use Weft::Door::Http;
use Weft::Door::Promise;
use Weft::Http2 qw(frame h2_client frames_until get);
use Weft::Test;

plan skip_all => 'no curl that speaks HTTP/2' unless qx{curl --version 2>/dev/null} =~ /\bHTTP2\b/;

my $t   = Weft::Test->new;
my $key = $t->key_file;
my $documented = slurp("$FindBin::Bin/../docs/streams.md");
my ($example)  = $documented =~ /^```nginx\n(.*?)^```$/ms  or die 'no nginx.conf in docs/streams.md';
my ($python)   = $documented =~ /^```python\n(.*?)^```$/ms or die 'no Python in docs/streams.md';
my $port = $t->port;
$example =~ s/listen 8000/listen 127.0.0.1:$port/;
$example =~ s{/etc/weft/}{@{[ $t->prefix ]}/}g;
my $node = nodes_with_doors($t, 'a', {
    http     => $example,
    variants => { idle => 'weft_heartbeat 10m;', origin => 'weft_origin https://app.example.com;', slow => 'weft_send_queue 64k; weft_heartbeat 10m;' },
});
my $speaker = $node->client(sub => 'speaker', with => { path => '/ws-idle' });
my $bearer  = 'Bearer ' . $t->ticket;
my @streams = grep { $_->http && $_->kind ne 'poll' } Weft::Door->all;
my @http1   = grep { ($_->http // 0) == 1 } Weft::Door->all;

sub say_all { my ($channel, @data) = @_; $speaker->must('publish', channel => $channel, data => $_) for @data; return }
sub left { my $status; ok(wait_for { $status = $node->status; $status->{connections}{active} == 1 && !$status->{subscriptions} }, 'nothing is left')
        or diag(explain($status->{connections}), $status->{subscriptions}); return }
sub get1 { my ($path, %more) = @_; return Weft::Door::Http->begin(port => $node->port, path => $path, headers => [ Authorization => $bearer ], %more) }

# Reads until the text comes, or the end.
sub read_until { my ($wire, $pattern) = @_; $wire->_read_until(sub { $wire->{in} =~ $pattern || $wire->{eof} }, "$pattern"); return $wire->{in} }

# ---- methods ---------------------------------------------------------------------------------------------------------

for my $door (grep { $_->http } Weft::Door->all) {
    my $path = '/' . $door->kind . '?channel=doors:open:x';
    my %to   = (version => $door->http, port => $door->http == 2 ? $node->{ports}{h2} : $node->port, path => $path, headers => [ Authorization => $bearer ]);
    check $door->name . ': there is nothing but GET' => sub {
        for my $method (qw(POST PUT DELETE)) {
            # Over HTTP/2 without one: curl 7.88 loses an answer that comes before it has sent its body.
            my $wire = Weft::Door::Http->begin(%to, method => $method, $door->http == 1 ? (body => '{}') : ());
            my $head = Weft::Door::Http::await_head($wire);
            is($head->{status}, 405, "$method: 405");
            is($head->{headers}{allow}, 'GET', 'Allow');
            is(Weft::Door::Http::refusal($wire, $head)->{code}, 4006, 'code 4006');
            $wire->hang_up;
        }
        left();
    };
    check $door->name . ': a page of another origin asks first' => sub {
        my $path  = '/' . $door->kind . '-origin?channel=doors:open:x';
        my $ask   = sub {
            my ($origin) = @_;
            my $wire = Weft::Door::Http->begin(%to, path => $path, method => 'OPTIONS',
                headers => [ Origin => $origin, 'Access-Control-Request-Method' => 'GET', 'Access-Control-Request-Headers' => 'authorization, last-event-id' ]);
            my $head = Weft::Door::Http::await_head($wire);
            $wire->hang_up;
            return $head;
        };
        my $head = $ask->('https://app.example.com');
        is($head->{status}, 204, 'it may');
        is($head->{headers}{'access-control-allow-origin'}, 'https://app.example.com', 'which is said of that origin');
        is($head->{headers}{'access-control-allow-credentials'}, 'true', 'with cookies');
        like($head->{headers}{'access-control-allow-methods'}, qr/\bGET\b/, 'by GET');
        like($head->{headers}{'access-control-allow-headers'}, qr/\bAuthorization\b.*\bLast-Event-ID\b/i, 'with these headers');
        like($head->{headers}{vary}, qr/Origin/, 'Vary');
        $head = $ask->('https://evil.example.com');
        is($head->{status}, 403, 'another may not');
        ok(!$head->{headers}{'access-control-allow-origin'}, 'nor read why');
        my $wire = Weft::Door::Http->begin(%to, path => $path, headers => [ Origin => 'https://app.example.com' ]);
        $head = Weft::Door::Http::await_head($wire);
        is($head->{status}, 401, 'without a ticket: 401');
        is($head->{headers}{'access-control-allow-origin'}, 'https://app.example.com', 'which the page may read');
        $wire->hang_up;
        left();
    };
}

for my $door (@http1) {
    my $path = '/' . $door->kind . '?channel=doors:open:x';
    check $door->name . ': HEAD is answered 405, without a body' => sub {
        my $answer = $node->nginx->exchange("HEAD $path HTTP/1.1\r\nHost: x\r\nAuthorization: $bearer\r\nConnection: close\r\n\r\n");
        is($answer->{status}, 405, 'status 405');
        is($answer->{headers}{allow}, 'GET', 'Allow');
        is($answer->{body}, '', 'no body');
    };
    check $door->name . ': a GET may have a body, which is thrown away' => sub {
        for my $body ('{}', 'b' x 100_000) {
            my $wire = get1($path, body => $body);
            is(Weft::Door::Http::await_head($wire)->{status}, 200, 'length ' . length $body);
            like(read_until($wire, qr/subscribed/), qr/subscribed/, 'served');
            if ($door->kind ne 'poll') {
                say_all('doors:open:x', 'with a body');
                like(read_until($wire, qr/"with a body"/), qr/"with a body"/, 'to the end');
            }
            $wire->hang_up;
        }
        left();
    };
    check $door->name . ': credentials come in the query, too, and in no log' => sub {
        my $secret = $t->ticket(sub => 'query');
        my $wire = get1("$path&ticket=$secret", headers => []);
        is(Weft::Door::Http::await_head($wire)->{status}, 200, 'let in');
        $wire->hang_up;
        left();
        my ($signature) = $secret =~ /([^.]+)$/;
        $node->nginx->access_lines(qr/./, 1);
        unlike($node->nginx->error_log, qr/\Q$signature/, 'in no error log');
    };
}

# ---- old clients, and connections that end by halves -----------------------------------------------------------------

for my $door (grep { $_->http == 1 } @streams) {
    my $path = '/' . $door->kind . '?channel=doors:open:old';
    check $door->name . ': a client of HTTP/1.0 is served' => sub {
        my $wire = Weft::Client->dial(port => $node->port);
        $wire->raw_send("GET $path HTTP/1.0\r\nAuthorization: $bearer\r\n\r\n");
        is(Weft::Door::Http::await_head($wire)->{status}, 200, 'status 200');
        read_until($wire, qr/subscribed/);
        say_all('doors:open:old', 'to the old');
        like(read_until($wire, qr/"to the old"/), qr/"to the old"/, 'what is published comes');
        unlike($wire->{in}, qr/^[0-9a-f]+\r$/m, 'without chunks');
        $wire->hang_up;
        left();
    };
    check $door->name . ': who sends no more is taken for gone' => sub {
        my $wire = get1($path);
        read_until($wire, qr/subscribed/);
        shutdown $wire->socket, SHUT_WR;
        read_until($wire, qr/(?!)/);
        ok($wire->{eof}, 'the answer ends');
        left();
        # The end comes with the request.
        $wire = Weft::Client->dial(port => $node->port);
        $wire->raw_send(Weft::Door::Http::request('GET', $path, undef, Authorization => $bearer));
        shutdown $wire->socket, SHUT_WR;
        read_until($wire, qr/(?!)/);
        left();
    };
    check $door->name . ': what is sent behind the request is thrown away' => sub {
        my $wire = Weft::Client->dial(port => $node->port);
        my $request = Weft::Door::Http::request('GET', $path, undef, Authorization => $bearer);
        $wire->raw_send($request x 2 . 'z' x 50_000);
        read_until($wire, qr/subscribed/);
        $wire->raw_send($request);
        say_all('doors:open:old', 'behind');
        my $got = read_until($wire, qr/"behind"/);
        is(scalar(() = $got =~ m{^HTTP/}mg), 1, 'one answer');
        is(scalar(() = $got =~ /"type":"subscribed"/g), 1, 'to one request');
        $wire->hang_up;
        left();
    };
}

check 'a poll: requests behind it are answered behind it' => sub {
    my $wire = Weft::Client->dial(port => $node->port);
    my $poll = Weft::Door::Http::request('GET', '/poll?channel=doors:open:pipe', undef, Authorization => $bearer);
    $wire->raw_send($poll . $poll . Weft::Door::Http::request('GET', '/status'));
    my @heads;
    for (1 .. 3) {
        push @heads, my $head = Weft::Door::Http::await_head($wire);
        my $body;
        $wire->_read_until(sub { defined($body = Weft::Door::Http::whole_body($wire, $head)) }, 'a body');
        like($body, $_ < 3 ? qr/"subscribed"/ : qr/"connections"/, "the $_. answer");
    }
    is(join(' ', map { $_->{status} } @heads), '200 200 200', 'all are served');
    $wire->hang_up;
    left();
};

check 'a poll: who goes while it is held leaves nothing' => sub {
    my $poll = Weft::Door::Http::request('GET', '/poll?channel=doors:open:held&position=', undef, Authorization => $bearer);
    for my $how (qw(fin reset half at_once)) {
        my $accepted = $node->status->{connections}{accepted};
        my $wire     = Weft::Client->dial(port => $node->port);
        $wire->raw_send($poll);
        wait_for { $node->status->{connections}{active} == 2 } if $how ne 'at_once';
        if ($how eq 'half') { shutdown $wire->socket, SHUT_WR }
        else                { $wire->hang_up(reset => $how eq 'reset') }
        ok(wait_for { $node->status->{connections}{accepted} > $accepted }, "$how: it was there");
        ok($node->status->{connections}{active} == 1 || wait_for(sub { $node->status->{connections}{active} == 1 }, 10), 'and is gone long before its time is over');
        left();
        $wire->hang_up if $how eq 'half';
    }
};

# ---- HTTP/2 ----------------------------------------------------------------------------------------------------------

check 'two streams of one HTTP/2 connection: each its own, and one that is reset leaves the other' => sub {
    my $client = h2_client(port => $node->{ports}{h2});
    $client->raw_send(get(1, '/sse?channel=doors:open:one', authorization => $bearer) . get(3, '/stream?channel=doors:open:two', authorization => $bearer));
    my %said = (1 => '', 3 => '');
    my $take = sub { my ($frame) = @_; $said{ $frame->[2] } .= $frame->[3] if $frame->[0] == 0; };
    frames_until($client, sub { $take->($_[0]); $said{1} =~ /subscribed/ && $said{3} =~ /subscribed/ });
    is($node->status->{connections}{active}, 3, 'both are there');
    say_all('doors:open:one', 'to the first');
    say_all('doors:open:two', 'to the second');
    frames_until($client, sub { $take->($_[0]); $said{1} =~ /to the first/ && $said{3} =~ /to the second/ });
    unlike($said{1}, qr/to the second/, 'each gets its own');
    unlike($said{3}, qr/to the first/,  'and nothing else');
    $client->raw_send(frame(3, 0, 1, pack 'N', 8));    # RST_STREAM, CANCEL
    ok(wait_for { $node->status->{connections}{active} == 2 && $node->status->{subscriptions} == 1 }, 'one is reset');
    say_all('doors:open:two', 'once more');
    frames_until($client, sub { $take->($_[0]); $said{3} =~ /once more/ });
    pass('the other goes on');
    $client->hang_up;
    left();
};

check 'a stream whose window is full is given up with 4014, and the other of its connection goes on' => sub {
    my $client = h2_client(port => $node->{ports}{h2});
    # The first stream's window stays as it is (64 kB); the second's, and the connection's, are opened wide.
    $client->raw_send(get(1, '/sse-slow?channel=doors:bare:flood', authorization => $bearer) . get(3, '/sse?channel=doors:open:calm', authorization => $bearer)
            . frame(8, 0, 0, pack 'N', 1 << 29) . frame(8, 0, 3, pack 'N', 1 << 20));
    my %said = (1 => '', 3 => '');
    my $take = sub { my ($frame) = @_; $said{ $frame->[2] } .= $frame->[3] if $frame->[0] == 0; };
    frames_until($client, sub { $take->($_[0]); $said{1} =~ /subscribed/ && $said{3} =~ /subscribed/ });
    my $slow   = $node->status->{connections}{slow};
    my $filler = 'w' x 10_000;
    for (1 .. 200) {
        say_all('doors:bare:flood', $filler);
        last if $node->status->{connections}{slow} > $slow;
    }
    is($node->status->{connections}{slow}, $slow + 1, 'the first is given up');
    say_all('doors:open:calm', 'as ever');
    frames_until($client, sub { $take->($_[0]); $said{3} =~ /as ever/ });
    cmp_ok(length $said{1}, '<=', 65_535, 'and got no more than its window');
    ok(wait_for { $node->status->{connections}{active} == 2 }, 'it is gone')
        or diag('it has to be waited for until its window opens');
    $client->hang_up;
    left();
};

check 'a connection of HTTP/2 that breaks takes all its streams along' => sub {
    for my $reset (0, 1) {
        my $client = h2_client(port => $node->{ports}{h2});
        $client->raw_send(join '', map { get(2 * $_ + 1, ($_ % 2 ? '/poll' : '/sse') . '?channel=doors:open:many&position=', authorization => $bearer) } 0 .. 19);
        ok(wait_for { $node->status->{connections}{active} == 21 }, 'twenty');
        $client->hang_up(reset => $reset);
        left();
    }
};

# ---- the examples ----------------------------------------------------------------------------------------------------

check 'docs/streams.md: the ten lines of Python chat' => sub {
    plan skip_all => 'no python3 with websockets' if system('/usr/bin/python3 -c "import websockets" 2>/dev/null');
    $python =~ s/127\.0\.0\.1:8000/127.0.0.1:$port/;
    my $program = spew($t->prefix . '/ten_lines.py', "import sys; sys.stdout.reconfigure(line_buffering=True)\n$python");
    my %came;
    my @chats = map {
        my $wire = bless { socket => undef, in => '', backlog => [] }, 'Weft::Door::Curl';
        $wire->{child} = open($wire->{socket}, '-|', '/usr/bin/python3', $program, $t->ticket(sub => $_)) or die "python3: $!\n";
        read_until($wire, qr/hello from ten lines\n/);
        $wire;
    } qw(ann bob);
    like(read_until($chats[0], qr/(?:hello from ten lines\n){2}/), qr/^(?:hello from ten lines\n){2}$/, 'the first hears itself and the second');
    is($chats[1]{in}, "hello from ten lines\n", 'the second hears itself');
    say_all('chat:den', 'well');
    is(read_until($chats[1], qr/well\n/), "hello from ten lines\nwell\n", 'and what others say');
    $_->hang_up for @chats;
    left();
};

check 'docs/streams.md: curl reads lines, polls and publishes' => sub {
    my $url = "http://127.0.0.1:$port";
    my $poll = qx{curl -s -H 'Authorization: $bearer' '$url/poll?channel=chat:den'};
    my $position = JSON::PP->new->decode($poll)->{position};
    like($position, qr/^chat:den=\S+$/, 'a first poll says where one stands');
    my $posted = qx{curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: $bearer' -H 'Idempotency-Key: 7f3a' -d '{"text":"hi"}' $url/publish/chat:den};
    is($posted, 202, 'a publication');
    qx{curl -s -H 'Authorization: $bearer' -H 'Idempotency-Key: 7f3a' -d '{"text":"hi"}' $url/publish/chat:den};
    my $next   = JSON::PP->new->decode(scalar qx{curl -s -H 'Authorization: $bearer' '$url/poll?channel=chat:den&position=$position'});
    my @events = grep { $_->{type} eq 'event' } @{ $next->{frames} };
    is(scalar @events, 1, 'repeated, it comes once');
    is_deeply($events[0]{payload}{data}, { text => 'hi' }, 'as it is');
    is(qx{curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: $bearer' '$url/poll?channel=chat:den&hold=0&position=$next->{position}'}, 204, 'hold=0: nothing new');
    left();
};

$speaker->leave;
nothing_left($node);
$t->finish;
done_testing;
